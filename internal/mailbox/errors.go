package mailbox

import (
	"errors"
	"fmt"
	"syscall"

	"posthaste/internal/mail"
	"posthaste/internal/table"
)

// fault makes the error of a failed delivery. code is the enhanced status
// code to use when the cause does not say more.
func fault(cause error, code, format string, args ...any) *mail.Error {
	var m *mail.Error
	if errors.As(cause, &m) {
		return &mail.Error{Reply: m.Reply, Code: m.Code, Text: fmt.Sprintf(format, args...) + m.Text, Err: m.Err}
	}
	code = codeOf(cause, code)
	reply := 450
	if code[0] == '5' {
		reply = 550
	}
	return &mail.Error{Reply: reply, Code: code, Text: fmt.Sprintf(format, args...) + errorText(cause)}
}

// refuse makes an error of our own, without a system error behind it.
func refuse(code, format string, args ...any) *mail.Error {
	reply := 450
	if code[0] == '5' {
		reply = 550
	}
	return &mail.Error{Reply: reply, Code: code, Text: fmt.Sprintf(format, args...)}
}

func errorText(err error) string {
	var s *SourceError
	if errors.As(err, &s) {
		return "error reading message"
	}
	return table.ErrorText(err)
}

// codeOf sorts causes: what is full or broken here and now is never the
// message's fault and is tried again; only a mailbox over its own size limit
// is the recipient's, as Postfix has it. A quota counts as a lack of
// resources (durability contract R7), so it is temporary too.
func codeOf(err error, other string) string {
	var source *SourceError
	if errors.As(err, &source) {
		return "4.3.0"
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return other
	}
	switch errno {
	case syscall.EFBIG:
		return "5.2.2"
	case syscall.EDQUOT:
		return "4.2.2"
	case syscall.ENOSPC, syscall.EIO, syscall.EROFS, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM,
		syscall.ENOBUFS, syscall.ENOLCK, syscall.ETIMEDOUT, syscall.EINTR, syscall.EUCLEAN:
		return "4.3.0"
	case syscall.EAGAIN, syscall.ESTALE, syscall.EBUSY, syscall.ETXTBSY:
		return "4.2.0"
	}
	return other
}
