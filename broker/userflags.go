package main

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/users"
)

// UserConfig says who may ask for grants, and how much.
type UserConfig struct {
	File         string
	Authorized   string
	OIDCIssuer   string
	OIDCAudience string
	OIDCAllow    []string

	// Limits of a user; 0 is no limit.
	Jobs, Grants int
	Sessions     time.Duration
	// AddressRate is how many requests a second a network may send before it
	// is known who asks; 0 is no limit.
	AddressRate float64
}

const (
	// addressBurst is how many seconds' worth of requests may come at once.
	addressBurst = 10
	// addressMemory is how many networks are remembered, at about 150 bytes;
	// up to twice as many under a flood.
	addressMemory = 1 << 15
)

func (u *UserConfig) register(f *pflag.FlagSet) {
	f.StringVar(&u.File, "users", "", "who may ask for grants with an access key, and users' own limits: a `FILE` that broker users edits")
	f.StringVar(&u.Authorized, "authorized-users", "", "who may ask for grants with an SSH key, a `FILE` in authorized_keys format")
	f.StringVar(&u.OIDCIssuer, "oidc-issuer", "", "take OIDC tokens of this issuer, a `URL` such as https://token.actions.githubusercontent.com")
	f.StringVar(&u.OIDCAudience, "oidc-audience", "", "`AUDIENCE` that OIDC tokens must be made for, such as the broker's origin")
	f.StringArrayVar(&u.OIDCAllow, "oidc-allow", nil, "admit OIDC tokens with these claims, a `RULE` CLAIM=GLOB[,CLAIM=GLOB]... such as repository=acme/*; may be repeated, one must fit")
	f.IntVar(&u.Jobs, "user-jobs", 8, "`N` jobs that a user may have at once, waiting ones included; 0 is no limit")
	f.IntVar(&u.Grants, "user-grants", 60, "`N` grants that a user may ask for a minute; 0 is no limit")
	f.DurationVar(&u.Sessions, "user-sessions", 24*time.Hour, "`TIME` on agents that a user may have a day (UTC); 0 is no limit")
	f.Float64Var(&u.AddressRate, "address-rate", 20, "`N` requests a second that one network (IPv4 /24, IPv6 /56) may send for sessions, grants and lists of agents; 0 is no limit; behind a proxy, see --trusted-proxies")
}

// validate looks at the flags alone.
func (u *UserConfig) validate(open bool) error {
	if u.OIDCIssuer == "" {
		for _, f := range []struct {
			flag string
			set  bool
		}{{"--oidc-audience", u.OIDCAudience != ""}, {"--oidc-allow", len(u.OIDCAllow) > 0}} {
			if f.set {
				return usage(fmt.Errorf("%s is given without --oidc-issuer", f.flag), "name the issuer whose tokens are taken, or leave it out")
			}
		}
	} else if _, err := u.oidc(); err != nil {
		return err
	}
	if !open && u.File == "" && u.Authorized == "" && u.OIDCIssuer == "" {
		return usage(errors.New("nobody could ask for grants: there is no way to tell who may"),
			"give --users for access keys, --authorized-users for SSH keys, or --oidc-issuer for CI; they go together",
			"or --open to give grants to anyone")
	}
	for _, l := range []struct {
		flag string
		bad  bool
		want string
	}{
		{"--user-jobs", u.Jobs < 0, "0 for no limit, or more"},
		{"--user-grants", u.Grants < 0, "0 for no limit, or more"},
		{"--user-sessions", u.Sessions < 0 || u.Sessions%time.Second != 0, "a time in whole seconds, or 0 for no limit"},
		{"--address-rate", !(u.AddressRate >= 0 && u.AddressRate <= 1e6), "between 0 for no limit and 1000000"},
	} {
		if l.bad {
			return usage(fmt.Errorf("%s is out of range", l.flag), "it must be "+l.want)
		}
	}
	return nil
}

func (u *UserConfig) oidc() (*users.OIDC, error) {
	if u.OIDCAudience == "" {
		return nil, usage(errors.New("--oidc-issuer goes with --oidc-audience: else tokens that were made for another service would be taken"),
			"give the audience that clients ask the issuer for, such as --oidc-audience https://broker.example.org")
	}
	if len(u.OIDCAllow) == 0 {
		return nil, usage(errors.New("--oidc-issuer goes with --oidc-allow: else everybody with an account at the issuer could use this broker, which for GitHub is everybody"),
			"name who may, such as --oidc-allow 'repository=acme/*'")
	}
	cfg := users.OIDCConfig{Issuer: u.OIDCIssuer, Audience: u.OIDCAudience}
	for _, text := range u.OIDCAllow {
		rule, err := users.ParseRule(text)
		if err != nil {
			return nil, usage(fmt.Errorf("--oidc-allow: %w", err))
		}
		cfg.Allow = append(cfg.Allow, rule)
	}
	o, err := users.NewOIDC(cfg)
	if err != nil {
		return nil, usage(fmt.Errorf("--oidc-issuer: %w", err))
	}
	return o, nil
}

// registry opens what the flags name.
func (u *UserConfig) registry(open bool, logger *slog.Logger) (*users.Registry, error) {
	r := &users.Registry{Open: open}
	var err error
	if u.File != "" {
		if r.File, err = users.OpenFile(u.File, logger); err != nil {
			return nil, usage(fmt.Errorf("--users: %w", err), "make it with: broker users add NAME --users "+u.File)
		}
	}
	if u.Authorized != "" {
		if r.Authorized, err = users.OpenAuthorized(u.Authorized, logger); err != nil {
			return nil, usage(fmt.Errorf("--authorized-users: %w", err), "the file has one public key a line, as ssh-keygen writes it to NAME.pub")
		}
	}
	if u.OIDCIssuer != "" {
		if r.OIDC, err = u.oidc(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// accounts count by the flags' limits.
func (u *UserConfig) accounts() *quota.Accounts {
	return quota.NewAccounts(quota.Limits{Jobs: u.Jobs, Grants: u.Grants, Sessions: u.Sessions})
}

// addresses is nil if networks are not limited.
func (u *UserConfig) addresses() *quota.Addresses {
	if u.AddressRate == 0 {
		return nil
	}
	return quota.NewAddresses(u.AddressRate, max(1, int(u.AddressRate*addressBurst)), addressMemory)
}
