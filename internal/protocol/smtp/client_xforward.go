package smtp

// MaxCommand is the longest command line this side sends on purpose (RFC 5321
// section 4.5.3.1.4).
const MaxCommand = 512

// XForward is a value of the XFORWARD command, such as NAME=client.example.
// An empty value goes out as [UNAVAILABLE].
type XForward struct{ Name, Value string }

// XForwardCommands makes as many XFORWARD command lines, without line end, as
// the values need.
func XForwardCommands(values []XForward) (commands []string) {
	const verb = "XFORWARD"
	line := []byte(verb)
	for _, v := range values {
		text := AppendXtext(nil, v.Value)
		if v.Value == "" {
			text = []byte("[UNAVAILABLE]")
		}
		if len(line) > len(verb) && len(line)+len(v.Name)+len(text)+4 > MaxCommand {
			commands = append(commands, string(line))
			line = line[:len(verb)]
		}
		line = append(append(append(append(line, ' '), v.Name...), '='), text...)
	}
	if len(line) > len(verb) {
		commands = append(commands, string(line))
	}
	return commands
}
