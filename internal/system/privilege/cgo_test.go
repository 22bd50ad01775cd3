//go:build cgo

package privilege

const cgo = true // and os/user uses it
