// Package smtp is the wire side of SMTP (RFC 5321 and its extensions): command
// lines, envelope paths and parameters, replies, and the two ways content
// travels (DATA and BDAT). It knows no configuration, logs nothing, opens no
// connection, and imports only package mail and the standard library.
//
// The files without prefix serve the receiving side; client_*.go the sending
// side.
package smtp
