package command

import (
	"io"
	"strings"

	"posthaste/internal/config"
)

// sendmailOptions are all options of sendmail(1).
const sendmailOptions = "A:B:C!F:GIL:N:O:R:UV:X:b:ce:f:h:imno:p:r:q:tvx"

// Newaliases is newaliases(1): it rebuilds the tables of alias_database, or
// the file named by -oA. Other options of sendmail(1) are accepted.
func Newaliases(env Env) int {
	tool := tableTool{env: env, aliases: true}
	if err := tool.newaliases(); err != nil {
		return env.Fatal("%s", visible(err.Error()))
	}
	return 0
}

func (t *tableTool) newaliases() error {
	options := NewOptions(t.env.arguments(), sendmailOptions)
	list := ""
	flag, value, err := options.Next()
	for ; err == nil; flag, value, err = options.Next() {
		switch {
		case flag == 'C':
			t.configDir = strings.TrimSuffix(value, "/main.cf")
		case flag == 'o' && strings.HasPrefix(value, "A"):
			list = value[1:]
		}
	}
	if err != io.EOF {
		return err
	}
	if err := t.readConfig(); err != nil {
		return err
	}
	if list == "" {
		list = t.aliasDatabase
	}
	for _, spec := range config.SplitList(list) {
		if !strings.Contains(spec, ":") {
			spec = t.defaultType + ":" + spec
		}
		if err := t.update(spec); err != nil {
			return err
		}
	}
	return nil
}
