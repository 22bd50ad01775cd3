package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// transportDefault is a parameter that exists once per transport, as
// <transport><suffix>, and the parameter it falls back to.
type transportDefault struct{ suffix, fallback string }

// transportDefaults are the parameters of every delivery transport, in the
// order of their names.
var transportDefaults = []transportDefault{
	{"_delivery_slot_cost", "default_delivery_slot_cost"},
	{"_delivery_slot_discount", "default_delivery_slot_discount"},
	{"_delivery_slot_loan", "default_delivery_slot_loan"},
	{"_destination_concurrency_failed_cohort_limit", "default_destination_concurrency_failed_cohort_limit"},
	{"_destination_concurrency_limit", "default_destination_concurrency_limit"},
	{"_destination_concurrency_negative_feedback", "default_destination_concurrency_negative_feedback"},
	{"_destination_concurrency_positive_feedback", "default_destination_concurrency_positive_feedback"},
	{"_destination_rate_delay", "default_destination_rate_delay"},
	{"_destination_recipient_limit", "default_destination_recipient_limit"},
	{"_extra_recipient_limit", "default_extra_recipient_limit"},
	{"_initial_destination_concurrency", "initial_destination_concurrency"},
	{"_minimum_delivery_slots", "default_minimum_delivery_slots"},
	{"_recipient_limit", "default_recipient_limit"},
	{"_recipient_refill_delay", "default_recipient_refill_delay"},
	{"_recipient_refill_limit", "default_recipient_refill_limit"},
	{"_transport_rate_delay", "default_transport_rate_delay"},
}

// commandTimeLimit is the one for services that run commands: pipe and spawn.
var commandTimeLimit = transportDefault{"_time_limit", "command_time_limit"}

// serviceParams returns the parameters that a master.cf row brings with it.
func serviceParams(command string) []transportDefault {
	switch command {
	case "smtp", "lmtp", "local", "virtual", "error":
		return transportDefaults
	case "pipe":
		return append(transportDefaults[:len(transportDefaults):len(transportDefaults)], commandTimeLimit)
	case "spawn":
		return []transportDefault{commandTimeLimit}
	}
	return nil
}

func hasTransportSuffix(name string) bool {
	if strings.HasSuffix(name, commandTimeLimit.suffix) {
		return true
	}
	for _, d := range transportDefaults {
		if strings.HasSuffix(name, d.suffix) {
			return true
		}
	}
	return false
}

// Transport returns the expanded value of <service><suffix>, for example of
// Transport("slow", "_destination_concurrency_limit"). set tells whether the
// site set that name; if not, the value is its own default (local and virtual
// have some), else that of the parameter it falls back to, else empty.
func (s *Snapshot) Transport(service, suffix string) (value string, set bool) {
	name := s.transportName(service, suffix)
	value, _ = s.Get(name)
	return value, s.IsSet(service + suffix)
}

// transportName is the parameter that decides for a transport.
func (s *Snapshot) transportName(service, suffix string) string {
	own := service + suffix
	if _, builtin := s.catalog.Get(own); builtin || s.IsSet(own) {
		return own
	}
	if suffix == commandTimeLimit.suffix {
		return commandTimeLimit.fallback
	}
	for _, d := range transportDefaults {
		if d.suffix == suffix {
			return d.fallback
		}
	}
	return "default" + suffix
}

// TransportInt is Transport as a number.
func (s *Snapshot) TransportInt(service, suffix string) (int, error) {
	name := s.transportName(service, suffix)
	value, _ := s.Get(name)
	n, err := strconv.Atoi(value)
	if err != nil {
		return 0, s.fault(name, fmt.Sprintf("bad numerical configuration: %s = %s", name, value))
	}
	return n, nil
}

// TransportDuration is Transport as a time; unit applies to a bare number.
func (s *Snapshot) TransportDuration(service, suffix, unit string) (time.Duration, error) {
	name := s.transportName(service, suffix)
	value, _ := s.Get(name)
	d, err := ParseDuration(value, unit)
	if err != nil {
		return 0, s.fault(name, fmt.Sprintf("parameter %s: %v", name, err))
	}
	return d, nil
}
