package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/wholefile"
)

// usersCommand returns the verb that edits the users file.
func usersCommand(stdout io.Writer) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "users",
		Short: "List, add and remove the users with access keys",
		Long: `Edits the file that --users names. A broker that runs with it takes the change up
within a second.

The file has one user a line. Of an access key it holds the SHA-256 only: a key
that is lost cannot be shown again, add it anew with --replace. Lines for users
who are known in another way, and for anyone, may give them limits of their own:

  ssh:SHA256:2ZZBL8fbvGTlPjCHmXSzy4mA2mEJfQ5aMKwTzJrDLWo jobs=2 grants=10 sessions=4h
  oidc:https://token.actions.githubusercontent.com#repo:acme/lamp:ref:refs/heads/main jobs=20
  anyone jobs=4

jobs are those at once, grants those a minute, sessions the time on agents a day;
0 is no limit, and what is left out is what the broker's flags say.`,
		Example: `  broker users add alice --users users --file alice.key --expires 8760h
  broker users list --users users
  broker users remove alice --users users`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&path, "users", "", "the users, the `FILE` that the broker runs with")
	need := needs(&path, "--users", "name the file that the broker runs with")
	cmd.AddCommand(addUserCommand(&path, need, stdout), &cobra.Command{
		Use:   "remove NAME",
		Short: "Take a user off the list",
		Long: `Takes a user off the list. Grants that the user has end within 30 s; what an agent
is building goes on. NAME may be a whole id, such as ssh:SHA256:…, to take its
limits back.`,
		Args: cobra.ExactArgs(1),
		RunE: need(func(args []string) error {
			if err := users.Remove(path, args[0]); err != nil {
				return usersFailed(err)
			}
			fmt.Fprintf(stdout, "removed %s\n", args[0])
			return nil
		}),
	})
	var asJSON bool
	list := &cobra.Command{
		Use:   "list",
		Short: "Show the users on the list",
		Args:  cobra.NoArgs,
		RunE: need(func([]string) error {
			entries, err := users.List(path)
			if err != nil {
				return usage(fmt.Errorf("read the list of users: %w", err))
			}
			if asJSON {
				return usersJSON(stdout, entries)
			}
			return usersTable(stdout, entries, time.Now())
		}),
	}
	list.Flags().BoolVar(&asJSON, "json", false, "print JSON, for programs")
	cmd.AddCommand(list)
	return cmd
}

func addUserCommand(path *string, need func(func([]string) error) func(*cobra.Command, []string) error, stdout io.Writer) *cobra.Command {
	var add users.Add
	var file string
	var expires time.Duration
	limits := map[string]*string{"jobs": new(string), "grants": new(string), "sessions": new(string)}
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make an access key for a user and show it once",
		Long: `Adds a user with a new access key and prints the key, or writes it into a file
that only its owner can read. The key is nowhere else. The users file is made if
it is not there.`,
		Args: cobra.ExactArgs(1),
		RunE: need(func(args []string) error {
			add.Name = args[0]
			for _, name := range []string{"jobs", "grants", "sessions"} {
				if value := *limits[name]; value != "" {
					if err := add.Limits.Set(name, value); err != nil {
						return usage(fmt.Errorf("--%w", err))
					}
				}
			}
			now := time.Now()
			if expires < 0 {
				return usage(errors.New("--expires is in the past"), "give a time from now, such as 8760h for a year")
			}
			if expires > 0 {
				add.Expires = now.Add(expires).UTC().Truncate(time.Second)
			}
			return addUser(*path, file, add, now, stdout)
		}),
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&file, "file", "", "write the key into this new `FILE` instead of printing it")
	f.DurationVar(&expires, "expires", 0, "how long the key is good, such as 8760h (default for ever)")
	f.BoolVar(&add.Replace, "replace", false, "give a user who is there a new key; the old one is void at once")
	f.StringVar(limits["jobs"], "jobs", "", "`N` jobs at once for this user, 0 for no limit (default the broker's --user-jobs)")
	f.StringVar(limits["grants"], "grants", "", "`N` grants a minute, 0 for no limit (default the broker's --user-grants)")
	f.StringVar(limits["sessions"], "sessions", "", "`TIME` on agents a day, such as 4h, 0 for no limit (default the broker's --user-sessions)")
	return cmd
}

// addUser writes the key first, if it goes into a file: a user without a key
// would be worse than a key without a user.
func addUser(path, file string, add users.Add, now time.Time, stdout io.Writer) error {
	key := users.NewAccessKey()
	if file != "" {
		if err := wholefile.Create(file, []byte(key.Reveal()+"\n"), 0o600); err != nil {
			return usage(fmt.Errorf("--file: %w", err), "name a file that is not there yet")
		}
	}
	if err := users.AddUser(path, add, key, now); err != nil {
		if file != "" {
			err = errors.Join(err, wholefile.Remove(file))
		}
		return usersFailed(err)
	}
	if file != "" {
		fmt.Fprintf(stdout, "added %s; the key is in %s\n", add.Name, file)
		return nil
	}
	fmt.Fprintln(stdout, key.Reveal())
	return nil
}

func usersFailed(err error) error {
	switch {
	case errors.Is(err, users.ErrNoSuch):
		return usage(err, "see: broker users list")
	case errors.Is(err, users.ErrExists):
		return usage(err, "to make the user a new key: broker users add --replace")
	default:
		return usage(err)
	}
}

func usersTable(w io.Writer, entries []*users.Entry, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tKEY\tCREATED\tEXPIRES\tLIMITS")
	for _, e := range entries {
		key, created, expires, limits := "-", "-", "-", "default"
		if e.KeyID != "" {
			key, created, expires = "ff_"+e.KeyID+"_…", e.Created.Format(time.DateOnly), "never"
		}
		if !e.Expires.IsZero() {
			expires = e.Expires.Format(time.RFC3339)
		}
		if e.Expired(now) {
			expires += " (over)"
		}
		if own := e.Limits.String(); own != "" {
			limits = own
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", e.Name(), key, created, expires, limits)
	}
	return t.Flush()
}

// listedUser is an element of what users list --json prints. Limits that are
// not there are the broker's.
type listedUser struct {
	User    string     `json:"user"`
	KeyID   string     `json:"key_id,omitempty"`
	Created *time.Time `json:"created,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
	// Limits of 0 are none.
	Jobs         *int   `json:"jobs,omitempty"`
	Grants       *int   `json:"grants_per_minute,omitempty"`
	SessionsSecs *int64 `json:"session_secs_per_day,omitempty"`
}

func usersJSON(w io.Writer, entries []*users.Entry) error {
	out := make([]listedUser, len(entries))
	for i, e := range entries {
		u := listedUser{User: e.User, KeyID: e.KeyID}
		if !e.Created.IsZero() {
			u.Created = &e.Created
		}
		if !e.Expires.IsZero() {
			u.Expires = &e.Expires
		}
		u.Jobs, u.Grants = ownLimit(e.Limits.Jobs), ownLimit(e.Limits.Grants)
		if e.Limits.Sessions != 0 {
			secs := int64(max(e.Limits.Sessions, 0) / time.Second)
			u.SessionsSecs = &secs
		}
		out[i] = u
	}
	return printJSON(w, out)
}

func ownLimit(n int) *int {
	switch n {
	case 0:
		return nil
	case quota.Unlimited:
		n = 0
	}
	return &n
}
