package main

import (
	"net/url"
	"strings"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
)

// maxStrip is more than any archive has.
const maxStrip = 64

// sourceOptions are the flags of a project by reference.
type sourceOptions struct {
	SourceURL    string
	SourceSHA256 string
	SourceStrip  int
}

func (o *sourceOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.SourceURL, "source-url", "", "have the agent fetch the archive at this `URL` instead of sending DIR")
	f.StringVar(&o.SourceSHA256, "source-sha256", "", "the SHA-256 of that archive, in `HEX`")
	f.IntVar(&o.SourceStrip, "source-strip", 0, "leave out a `NUMBER` of leading folders of that archive's paths")
}

// Validate reports what is wrong before the agent would.
func (o *sourceOptions) Validate() error {
	if o.SourceURL == "" {
		if o.SourceSHA256 != "" || o.SourceStrip != 0 {
			return usage("--source-sha256 and --source-strip mean nothing without --source-url")
		}
		return nil
	}
	u, err := url.Parse(o.SourceURL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return cli.Failf(cli.Usage, "--source-url: %q is not like https://example.org/project.tar.gz", o.SourceURL)
	case u.User != nil:
		return usage("--source-url: it has a user name or a password in it, and the agent would see them")
	case o.SourceSHA256 == "":
		return cli.Failf(cli.Usage, "--source-url needs --source-sha256: the agent builds nothing that could have been exchanged on its way").
			Hint("get it with sha256sum")
	case len(o.SourceSHA256) != 64 || strings.Trim(o.SourceSHA256, "0123456789abcdefABCDEF") != "":
		return usage("--source-sha256: %q is not a SHA-256 in hexadecimal", o.SourceSHA256)
	case o.SourceStrip < 0 || o.SourceStrip > maxStrip:
		return usage("--source-strip: %d is not between 0 and %d", o.SourceStrip, maxStrip)
	}
	return nil
}

// reference returns what to tell the agent, or nil for a project on this
// machine.
func (o *sourceOptions) reference() *channel.Source {
	if o.SourceURL == "" {
		return nil
	}
	return &channel.Source{URL: o.SourceURL, SHA256: strings.ToLower(o.SourceSHA256), StripComponents: o.SourceStrip}
}
