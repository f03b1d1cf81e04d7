package users

import (
	"errors"
	"io/fs"
	"log/slog"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/cli"
)

// Config configures a [Registry].
type Config struct {
	Open       bool
	File       string // of users with access keys
	Authorized string // SSH keys
	OIDC       OIDCConfig
}

// Register defines the flags and their defaults.
func (c *Config) Register(f *pflag.FlagSet) {
	f.StringVar(&c.File, "users", "", "admit the access keys in this `FILE`, which broker users edits")
	f.StringVar(&c.Authorized, "authorized-users", "", "admit the SSH keys in this `FILE` in authorized_keys format")
	f.StringVar(&c.OIDC.Issuer, "oidc-issuer", "", "admit OIDC tokens of the issuer at this `URL`, see --oidc-allow")
	f.StringVar(&c.OIDC.Audience, "oidc-audience", "", "demand OIDC tokens for this `AUDIENCE`, such as the broker's origin")
	cli.ListVar(f, &c.OIDC.Allow, "oidc-allow", "", ParseRule, "admit OIDC tokens that fit a `RULE` such as repository=acme/*; may be repeated")
	f.BoolVar(&c.Open, "open", false, "give grants to anyone who presents no token")
}

// Validate reports the first wrong option.
func (c *Config) Validate() error {
	if c.OIDC.Issuer == "" {
		for _, f := range []struct {
			flag string
			set  bool
		}{{"--oidc-audience", c.OIDC.Audience != ""}, {"--oidc-allow", len(c.OIDC.Allow) > 0}} {
			if f.set {
				return cli.Usagef("%s needs --oidc-issuer", f.flag).Hint("name the issuer, or remove " + f.flag)
			}
		}
	} else if _, err := c.oidc(); err != nil {
		return err
	}
	if !c.Open && c.File == "" && c.Authorized == "" && c.OIDC.Issuer == "" {
		return cli.Usagef("nobody can request grants: there is no way to authenticate").Hint(
			"add --users for access keys, --authorized-users for SSH keys, or --oidc-issuer for CI jobs, or several of them",
			"add --open to give grants to anyone")
	}
	return nil
}

func (c *Config) oidc() (*OIDC, error) {
	switch {
	case c.OIDC.Audience == "":
		return nil, cli.Usagef("--oidc-issuer needs --oidc-audience: otherwise tokens for other services would be accepted").
			Hint("name the audience that clients request, such as --oidc-audience https://broker.example.org")
	case len(c.OIDC.Allow) == 0:
		return nil, cli.Usagef("--oidc-issuer needs --oidc-allow: otherwise everybody with an account at the issuer could use this broker").
			Hint("name the allowed tokens, such as --oidc-allow 'repository=acme/*'")
	}
	o, err := NewOIDC(c.OIDC)
	if err != nil {
		return nil, cli.Usagef("--oidc-issuer: %w", err)
	}
	return o, nil
}

// Open opens the files and the issuer of a valid config.
func Open(c Config, logger *slog.Logger) (*Registry, error) {
	r := &Registry{Open: c.Open}
	var err error
	if c.File != "" {
		if r.File, err = OpenFile(c.File, logger); err != nil {
			hint := "create it with: broker users add NAME --users " + c.File
			if errors.Is(err, fs.ErrPermission) {
				hint = "let the broker's user read it: chmod 644 " + c.File + "; it holds hashes of keys, not the keys"
			}
			return nil, cli.Usagef("--users: %w", err).Hint(hint)
		}
	}
	if c.Authorized != "" {
		if r.Authorized, err = OpenAuthorized(c.Authorized, logger); err != nil {
			return nil, cli.Usagef("--authorized-users: %w", err).Hint("write one public key a line, as ssh-keygen writes it to NAME.pub")
		}
	}
	if c.OIDC.Issuer != "" {
		if r.OIDC, err = c.oidc(); err != nil {
			return nil, err
		}
	}
	return r, nil
}
