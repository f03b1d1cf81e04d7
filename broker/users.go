package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/command"
	"github.com/farforge/farforge/common/wholefile"
)

// usersCommand returns the verb that edits the users file.
func usersCommand(stdout io.Writer) *cobra.Command {
	var path string
	required := require(&path, "--users", "name the file that the broker runs with")
	cmd := command.Group(&cobra.Command{
		Use:   "users",
		Short: "List, add and remove users and their limits",
		Long: `Edits the file that --users names. A running broker applies the change within a
second.

The file has one user a line. Of an access key it holds the SHA-256 only: a lost
key cannot be shown again, make a new one with --replace. Lines for users of SSH
keys and OIDC tokens, and for anyone, set limits:

  ssh:SHA256:2ZZBL8fbvGTlPjCHmXSzy4mA2mEJfQ5aMKwTzJrDLWo jobs=2 grants=10 sessions=4h
  oidc:https://token.actions.githubusercontent.com#repo:acme/lamp:ref:refs/heads/main jobs=20
  anyone jobs=4

jobs limits those at once, grants those a minute, sessions the time on agents a
day. 0 means no limit. The broker's flags set the limits that a line leaves out.`,
		Example: `  broker users add alice --users users --file alice.key --expires 8760h
  broker users list --users users
  broker users remove alice --users users`,
	}, addUserCommand(&path, required, stdout), removeUserCommand(&path, required, stdout), listUsersCommand(&path, required, stdout))
	cmd.PersistentFlags().StringVar(&path, "users", "", "use the list of users in this `FILE`")
	return cmd
}

func removeUserCommand(path *string, required requirement, stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a user",
		Long: `Removes a user. The user's grants end within 30 s; builds that have begun continue.
NAME may be a whole id, such as ssh:SHA256:…, to remove its limits.`,
		Args: cobra.ExactArgs(1),
		RunE: required(func(args []string) error {
			if err := users.Remove(*path, args[0]); err != nil {
				return usersFailed(err)
			}
			fmt.Fprintf(stdout, "removed %s\n", args[0])
			return nil
		}),
	}
}

func listUsersCommand(path *string, required requirement, stdout io.Writer) *cobra.Command {
	var asJSON bool
	var broker, tokenFile string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the users, their limits and their usage",
		Long: `Lists the users in the file. With --url and --admin-token-file it also asks the
running broker what they use: jobs under way and time on agents today (UTC). Then
the list has users of SSH keys and OIDC tokens, and anyone, too, if they have used
something today.`,
		Example: `  broker users list --users users
  broker users list --users users --url https://broker.example.org --admin-token-file admin-token`,
		Args: cobra.NoArgs,
		RunE: required(func([]string) error {
			entries, err := users.List(*path)
			if err != nil {
				return usage(fmt.Errorf("read the list of users: %w", err))
			}
			var usage *api.Usage
			if broker != "" {
				usage, err = fetchUsage(context.Background(), broker, tokenFile)
				if _, wrong := errors.AsType[*cli.Error](err); wrong {
					return err
				}
				if err != nil {
					fmt.Fprintf(os.Stderr, "warning: the usage of the users is unknown: %v\n", err)
				}
			}
			if asJSON {
				return usersJSON(stdout, entries, usage)
			}
			return usersTable(stdout, entries, usage, time.Now())
		}),
	}
	cmd.Flags().StringVar(&broker, "url", "", "ask the broker at this `URL` for the usage of users")
	cmd.Flags().StringVar(&tokenFile, "admin-token-file", "", "authenticate to --url with the token in this `FILE`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func addUserCommand(path *string, required requirement, stdout io.Writer) *cobra.Command {
	var add users.Add
	var file string
	var expires time.Duration
	limits := map[string]*string{"jobs": new(string), "grants": new(string), "sessions": new(string)}
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a user and print a new access key",
		Long: `Adds a user with a new access key and prints the key, or writes it to a file that
only its owner can read. There is no other copy of the key. A missing users file
is created.`,
		Args: cobra.ExactArgs(1),
		RunE: required(func(args []string) error {
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
	f.StringVar(&file, "file", "", "write the key to this new `FILE` instead of printing it")
	f.DurationVar(&expires, "expires", 0, "end the key after this `TIME`, such as 8760h (default never)")
	f.BoolVar(&add.Replace, "replace", false, "give an existing user a new key and end the old one at once")
	f.StringVar(limits["jobs"], "jobs", "", "allow `N` jobs at once; 0 is no limit (default the broker's --user-jobs)")
	f.StringVar(limits["grants"], "grants", "", "allow `N` grants a minute; 0 is no limit (default the broker's --user-grants)")
	f.StringVar(limits["sessions"], "sessions", "", "allow this `TIME` on agents a day; 0 is no limit (default the broker's --user-sessions)")
	return cmd
}

// addUser adds a user. A key that goes to a file is written first, because a key
// without a user does less harm than a user without a key.
func addUser(path, file string, add users.Add, now time.Time, stdout io.Writer) error {
	key := users.NewAccessKey()
	if file != "" {
		if err := wholefile.Create(file, []byte(key.Reveal()+"\n"), 0o600); err != nil {
			return usage(fmt.Errorf("--file: %w", err), "name a file that does not exist")
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
	case errors.Is(err, users.ErrAmbiguous):
		return usage(err, "name the access key as key:NAME; to remove the other line, edit the file")
	case errors.Is(err, users.ErrExists):
		return usage(err, "give the user a new key:  broker users add --replace")
	default:
		return usage(err)
	}
}

// withUsage adds the users of the broker that are not in the file, and returns
// the usage of each.
func withUsage(entries []*users.Entry, usage *api.Usage) ([]*users.Entry, map[string]api.UserUsage) {
	uses := map[string]api.UserUsage{}
	if usage == nil {
		return entries, uses
	}
	listed := map[string]bool{}
	for _, e := range entries {
		listed[e.User] = true
	}
	for _, u := range usage.Users {
		uses[u.User] = u
		if !listed[u.User] {
			entries = append(entries, &users.Entry{User: u.User})
		}
	}
	return entries, uses
}

func usersTable(w io.Writer, entries []*users.Entry, usage *api.Usage, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	entries, uses := withUsage(entries, usage)
	columns := "NAME\tKEY\tCREATED\tEXPIRES\tLIMITS"
	if usage != nil {
		columns += "\tJOBS\tTODAY"
	}
	fmt.Fprintln(t, columns)
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
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s", e.Name(), key, created, expires, limits)
		if usage != nil {
			jobs, today := "-", "-" // added since the broker answered
			if u, ok := uses[e.User]; ok {
				jobs, today = used(u)
			}
			fmt.Fprintf(t, "\t%s\t%s", jobs, today)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// listedUser is an element of the output of users list --json. The broker's
// flags set the limits that it leaves out.
type listedUser struct {
	User    string     `json:"user"`
	KeyID   string     `json:"key_id,omitempty"`
	Created *time.Time `json:"created,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
	// 0 is no limit.
	Jobs         *int   `json:"jobs,omitempty"`
	Grants       *int   `json:"grants_per_minute,omitempty"`
	SessionsSecs *int64 `json:"session_secs_per_day,omitempty"`
	// Usage is the broker's answer.
	Usage *api.UserUsage `json:"usage,omitempty"`
}

func usersJSON(w io.Writer, entries []*users.Entry, usage *api.Usage) error {
	entries, uses := withUsage(entries, usage)
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
		if used, ok := uses[e.User]; ok {
			u.Usage = &used
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
