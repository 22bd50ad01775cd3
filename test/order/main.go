// Command order traces.
package main

func main() {}
