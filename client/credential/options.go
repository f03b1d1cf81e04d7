package credential

import "github.com/spf13/pflag"

// Register defines the flags and their defaults. A secret itself is never a flag:
// other users of the machine could read it.
func (o *Options) Register(f *pflag.FlagSet) {
	f.StringVar(&o.AccessKeyFile, "access-key-file", "", "sign in with the access key in this `FILE` (default "+AccessKeyVariable+")")
	f.StringVar(&o.UserKey, "user-key", "", "sign in with the SSH key in this `FILE`, or a .pub with ssh-agent")
	f.StringVar(&o.OIDCTokenFile, "oidc-token-file", "", "sign in with the OIDC token in this `FILE` (default "+OIDCTokenVariable+")")
	f.StringVar(&o.OIDC, "oidc", "", "sign in with a token of this `ISSUER`: github, in a GitHub Actions job")
	f.StringVar(&o.Audience, "oidc-audience", "", "fetch a token for this audience `NAME` with --oidc (default the broker's URL)")
}
