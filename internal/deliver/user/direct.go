package user

import (
	"context"
	"os"
	"strings"

	"posthaste/internal/mail"
	"posthaste/internal/mailbox"
	"posthaste/internal/table"
)

// Direct is the Worker of this process's own user.
type Direct struct {
	Gather *mailbox.Gather // of all deliveries to maildirs; may be nil
}

// own refuses work for anybody else.
func own(as Identity) error {
	if uid := os.Geteuid(); int(as.UID) != uid {
		return &mail.Error{Reply: 450, Code: "4.3.5",
			Text: "mail system configuration error: delivery for another user needs the superuser to start the mail system"}
	}
	return nil
}

// Deliver implements Worker.
func (w Direct) Deliver(ctx context.Context, as Identity, d Delivery) (mailbox.Warnings, error) {
	if err := own(as); err != nil {
		return nil, err
	}
	if strings.HasSuffix(d.Path, "/") {
		d.Options.Gather = w.Gather
		return nil, d.Message.Maildir(ctx, d.Path, d.Options)
	}
	return d.Message.Mbox(ctx, d.Path, d.Options)
}

// Run implements Worker.
func (Direct) Run(ctx context.Context, as Identity, c Command) (Outcome, error) {
	if err := own(as); err != nil {
		return Outcome{}, err
	}
	return c.run(ctx)
}

// Read implements Worker.
func (Direct) Read(_ context.Context, as Identity, path string, limit int64) (mailbox.File, error) {
	if err := own(as); err != nil {
		return mailbox.File{}, err
	}
	f, err := mailbox.ReadFile(path, limit)
	if err == nil {
		return f, nil
	}
	e := &mail.Error{Reply: 450, Code: "4.3.0", Text: "cannot open file " + path + ": " + table.ErrorText(err)}
	if os.IsPermission(err) {
		e.Reply, e.Code = 550, "5.7.0"
	}
	return f, e
}
