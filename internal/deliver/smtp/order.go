package smtp

import (
	"math/rand/v2"
	"slices"
)

// order sorts servers by preference, then by address family where one is
// preferred, else at random, and cuts the list to smtp_mx_address_limit.
func (a *Agent) order(peers []peer, port uint16) []peer {
	for i := range peers {
		peers[i].port = port
	}
	if a.params.RandomizeAddresses {
		rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	}
	preferred := func(p peer) int {
		switch {
		case a.params.AddressPreference == "ipv4" && p.addr.Is4(), a.params.AddressPreference == "ipv6" && p.addr.Is6():
			return 0
		}
		return 1
	}
	slices.SortStableFunc(peers, func(x, y peer) int {
		if x.pref != y.pref {
			return int(x.pref) - int(y.pref)
		}
		return preferred(x) - preferred(y)
	})
	limit := a.params.MXAddressLimit
	if limit == 0 || len(peers) <= limit {
		return peers
	}
	if a.params.BalanceProtocols && limit > 1 {
		return balance(peers, limit)
	}
	return peers[:limit]
}

// balance takes limit servers in their order, but leaves neither address
// family out: each gets half, or what the other does not need.
func balance(peers []peer, limit int) []peer {
	four := 0
	for _, p := range peers {
		if p.addr.Is4() {
			four++
		}
	}
	six := len(peers) - four
	room4, room6 := limit, limit
	if four > 0 && six > 0 {
		room6 = max(limit/2, limit-four)
		room4 = limit - min(room6, six)
	}
	kept := peers[:0]
	for _, p := range peers {
		room := &room6
		if p.addr.Is4() {
			room = &room4
		}
		if *room > 0 && len(kept) < limit {
			*room--
			kept = append(kept, p)
		}
	}
	return kept
}
