package main

import (
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
)

const longHelp = `The broker introduces clients that want something built to agents that build it.
It passes their offers and answers on; source, logs and firmware go directly
between the two.

Agents are listed in a file in OpenSSH's authorized_keys format, one public key
a line, with the agent's name as the comment; broker agents edits it. The file is
read again when it changes, and on SIGHUP.

Users are known by access keys, which broker users makes, by SSH keys, or by OIDC
tokens such as GitHub's, which CI jobs have without any secret; any of them may
be combined. Each user has limits. --open needs no user at all.

The key that signs grants is made on the first start and kept in --state-dir;
broker keys rotates it. A broker that is started again with the same folder goes
on with the jobs of the one before it.

The first SIGINT or SIGTERM drains: waits end, offers that an agent has claimed
are still answered. The second stops at once.`

const examples = `  # On a public host, with a certificate that comes by itself:
  broker --acme-hostnames broker.example.org \
         --authorized-agents agents --state-dir /var/lib/farforge --users users

  # On one machine, to try it out:
  broker --addr 127.0.0.1:0 --disable-tls --addr-file addr \
         --authorized-agents agents --state-dir state --open`

// newCommand returns the command line; serve is called with a valid Config.
func newCommand(serve func(*Config) error) *cobra.Command {
	cfg := &Config{}
	cmd := &cobra.Command{
		Use:           "broker",
		Short:         "Introduce clients to build agents",
		Long:          longHelp,
		Example:       examples,
		Version:       version(),
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(*cobra.Command, []string) error {
			if err := cfg.Validate(); err != nil {
				return err
			}
			return serve(cfg)
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return cli.Fail(cli.Usage, err, "see broker --help")
	})
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.AddCommand(agentsCommand(os.Stdin, os.Stdout), usersCommand(os.Stdout), keysCommand(os.Stdout))
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&cfg.Addr, "addr", ":443", "listen on this `HOST:PORT`; port 0 takes a free one")
	f.StringVar(&cfg.AddrFile, "addr-file", "", "write the URL that is listened on to this `FILE` once it is ready")
	f.StringVar(&cfg.Origin, "origin", "", "the `URL` that agents and clients dial, such as https://broker.example.org; may be left out with --acme-hostnames, and with --disable-tls on a loopback address")
	cfg.ACME.register(f)
	f.StringVar(&cfg.Cert, "cert", "", "certificate chain, a PEM `FILE`; it is read again when it changes")
	f.StringVar(&cfg.Key, "key", "", "the certificate's private key, a PEM `FILE`")
	f.BoolVar(&cfg.DisableTLS, "disable-tls", false, "serve plain HTTP: on one machine, or behind a proxy that ends TLS")
	cfg.Reach.register(f)
	f.StringVar(&cfg.AuthorizedAgents, "authorized-agents", "", "the agents that may serve, a `FILE` in authorized_keys format")
	f.StringVar(&cfg.StateDir, "state-dir", "", "the `DIR` that keeps what must last: keys, certificates and what was learned of the agents; it is made if need be")
	f.StringVar(&cfg.AdminTokenFile, "admin-token-file", "", "serve /services to who presents the token in this `FILE`; it is made if it is not there")
	f.BoolVar(&cfg.Open, "open", false, "give grants to anyone who presents no token")
	cfg.Users.register(f)
	f.BoolVar(&cfg.RequireSealed, "require-sealed", false, "refuse offers in plain text, which browsers and older clients send")
	f.StringArrayVar(&cfg.ICEServers, "ice-server", nil, "tell peers of this STUN server, a `URL` such as stun:stun.example.org:3478; may be repeated")
	cfg.Relay.register(f)
	f.DurationVar(&cfg.MaxSession, "max-session", 0, "longest session that is granted (default 1h)")
	f.IntVar(&cfg.MaxCores, "max-cores", 0, "most cores that are granted to one job (default 64)")
	f.IntVar(&cfg.MaxMemory, "max-memory", 0, "most memory that is granted to one job, in `MiB` (default 131072)")
	f.DurationVar(&cfg.MaxWait, "max-wait", api.MaxWait, "longest time that a request is held, at most 25s")
	f.DurationVar(&cfg.AnswerTimeout, "answer-timeout", api.AnswerTimeout, "how long an agent may take to answer before the next one is asked")
	f.StringVar(&cfg.MetricsAddr, "metrics-addr", "", "serve /metrics on this `HOST:PORT` only, in clear")
	f.BoolVar(&cfg.ExactMetrics, "exact-metrics", false, "do not round counts in /metrics up to multiples of 8, by which single users cannot be made out")
	f.StringVar(&cfg.LogFormat, "log-format", "text", "`FORMAT` of the log on standard error: text or json")
	f.StringVar(&cfg.LogLevel, "log-level", "info", "least `LEVEL` that is logged: debug, info, warn or error; debug has a line a request")
	f.BoolVar(&cfg.UnsafeLogging, "unsafe-logging", false, "log the addresses of clients and agents")
	return cmd
}

// version is the module's, as the Go toolchain recorded it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
