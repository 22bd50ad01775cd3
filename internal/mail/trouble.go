package mail

import (
	"fmt"
	"strings"
)

// Trouble are classes of problems that the postmaster may be told of, the words
// of notify_classes.
type Trouble uint16

// The bits of Trouble.
const (
	TroubleBounce       Trouble = 1 << iota // mail that was returned, or refused for its recipient
	TroubleDoubleBounce                     // a notice that could not be delivered
	TroubleDelay                            // mail that is late
	TroubleData                             // a lookup table that could not be read
	TroublePolicy                           // mail refused by an access rule
	TroubleProtocol                         // a peer that breaks the protocol
	TroubleResource                         // lack of room
	TroubleSoftware                         // a fault of configuration or program
)

var troubleNames = map[string]Trouble{
	"bounce": TroubleBounce, "2bounce": TroubleDoubleBounce, "delay": TroubleDelay,
	"data": TroubleData, "policy": TroublePolicy, "protocol": TroubleProtocol,
	"resource": TroubleResource, "software": TroubleSoftware,
}

// ParseTrouble reads a list of class names. The error names the word that is
// none.
func ParseTrouble(words []string) (Trouble, error) {
	var all Trouble
	for _, w := range words {
		t, known := troubleNames[strings.ToLower(w)]
		if !known {
			return 0, fmt.Errorf("unknown error class %q", w)
		}
		all |= t
	}
	return all, nil
}
