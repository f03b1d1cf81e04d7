package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// neededFlags are options that bwrap must know, with the last version that
// brought one.
var neededFlags = []string{"--json-status-fd", "--block-fd", "--clearenv", "--ro-bind-data", "--seccomp", "--size"}

const neededVersion = "0.7"

// NewBubblewrap finds bwrap and the options that it knows, and prepares control
// groups where it may. Check reports a missing bwrap, and Soft missing groups.
func NewBubblewrap(ctx context.Context) *Bubblewrap {
	b := &Bubblewrap{flags: map[string]bool{}, cores: newCores()}
	b.filter, b.broken = seccompFilter()
	b.groups, b.soft = openCgroups()
	path, err := exec.LookPath("bwrap")
	if err != nil {
		return b
	}
	b.path = path
	help, _ := exec.CommandContext(ctx, path, "--help").CombinedOutput()
	for _, field := range strings.Fields(string(help)) {
		if strings.HasPrefix(field, "--") {
			b.flags[field] = true
		}
	}
	return b
}

// Check implements Sandbox: it runs "true" in a sandbox.
func (b *Bubblewrap) Check(ctx context.Context) error {
	if b.path == "" {
		return &Unusable{
			Reason: "the program bwrap was not found, so builds cannot be sandboxed",
			Advice: "install it (Debian, Ubuntu: apt install bubblewrap)",
		}
	}
	var lacks []string
	for _, flag := range neededFlags {
		if !b.flags[flag] {
			lacks = append(lacks, flag)
		}
	}
	if len(lacks) > 0 {
		return &Unusable{
			Reason: b.path + " is too old: it does not know " + strings.Join(lacks, ", "),
			Advice: "install bubblewrap " + neededVersion + " or newer",
		}
	}
	if b.broken != nil {
		return &Unusable{Reason: b.broken.Error(), Advice: "run the agent on a machine with a common processor, such as x86-64 or arm64"}
	}
	dir, err := os.MkdirTemp("", "farforge-check-")
	if err != nil {
		return fmt.Errorf("try the sandbox: %w", err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	result, err := b.Run(ctx, Spec{Dir: dir, Argv: []string{"true"}})
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("try the sandbox: %w", err)
	case err != nil:
		return diagnose(err)
	case result.ExitCode != 0:
		return fmt.Errorf("try the sandbox: true exited with %d", result.ExitCode)
	}
	return nil
}

// diagnose turns bwrap's error into one that says what the operator can do.
func diagnose(err error) error {
	reason := errors.Unwrap(err)
	if reason == nil {
		reason = err
	}
	text := reason.Error()
	for _, sign := range []string{"namespace", "uid map", "Operation not permitted", "Permission denied"} {
		if strings.Contains(text, sign) {
			return &Unusable{
				Reason: "this system does not let the agent make a sandbox: " + text,
				Advice: "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1 (Debian), " +
					"kernel.apparmor_restrict_unprivileged_userns=0 or an AppArmor profile for bwrap (Ubuntu 24.04), " +
					"user.max_user_namespaces > 0; in a container, permit unshare and mount",
			}
		}
	}
	return &Unusable{Reason: text, Advice: "run bwrap --ro-bind / / true by hand to see what is missing"}
}
