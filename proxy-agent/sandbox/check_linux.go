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

// NewBubblewrap finds bwrap and asks it which options it knows. A missing
// bwrap is reported by Check.
func NewBubblewrap(ctx context.Context) *Bubblewrap {
	b := &Bubblewrap{flags: map[string]bool{}}
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
	if !b.flags["--json-status-fd"] || !b.flags["--clearenv"] {
		return &Unusable{
			Reason: b.path + " is too old: it does not know --json-status-fd and --clearenv",
			Advice: "install bubblewrap 0.5 or newer",
		}
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

// diagnose turns bwrap's complaint into what an operator can do about it.
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
