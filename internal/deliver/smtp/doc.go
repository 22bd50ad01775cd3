// Package smtp is the SMTP and LMTP client: the agent that hands mail to other
// servers. What it does for one request, in this order:
//
//  1. nexthop.go  reads the list of destinations;
//  2. cache.go    looks for a connection to one of them that was kept;
//  3. locate.go   finds the servers of a destination, order.go sorts them;
//  4. connect.go  connects, hello.go greets and learns what the server offers;
//  5. transaction.go sends the envelope, content.go the message (downgrade.go
//     makes it 7-bit if need be), judge.go reads what the server says to it;
//     delivery.go decides after each failure whether another server is tried;
//  6. cache.go    keeps the connection or closes it.
//
// TLS and authentication belong between the two greetings in hello.go:
// session.attach exchanges the connection under a session.
//
// It opens network connections, asks the resolver it was given, and reads
// message content through the request. It touches no queue and no other file.
package smtp
