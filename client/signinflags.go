package main

import (
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/client/credential"
)

// signInOptions are the flags that tell a broker who asks. The secrets
// themselves are never flags.
type signInOptions struct{ credential.Options }

func (o *signInOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.AccessKeyFile, "access-key-file", "", "ask the broker with the access key in this `FILE`; "+credential.AccessKeyVariable+" may hold a key itself")
	f.StringVar(&o.UserKey, "user-key", "", "ask the broker with the SSH key in this `FILE`, or a .pub of which ssh-agent has the private half")
	f.StringVar(&o.OIDCTokenFile, "oidc-token-file", "", "ask the broker with the OIDC token in this `FILE`; "+credential.OIDCTokenVariable+" may hold a token itself")
	f.StringVar(&o.OIDC, "oidc", "", "ask the broker with an OIDC token of this `ISSUER`: github, in a GitHub Actions job")
	f.StringVar(&o.Audience, "oidc-audience", "", "who the token of --oidc is for, a `NAME` that the broker expects (default the broker's URL)")
}
