//go:build unix

package main

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/proxy-agent/internal/fakebroker"
)

const passphrase = "correct horse"

// sshKeygen makes a key with the real ssh-keygen.
func sshKeygen(t *testing.T, passphrase string, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "id")
	openssh(t, "ssh-keygen", append([]string{"-q", "-N", passphrase, "-f", path}, args...)...)
	return path
}

func openssh(t *testing.T, program string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed", program)
	}
	if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", program, err, out)
	}
}

// sshAgent starts a real ssh-agent that holds the key.
func sshAgent(t *testing.T, key string) {
	t.Helper()
	if _, err := exec.LookPath("ssh-agent"); err != nil {
		t.Skip("ssh-agent is not installed")
	}
	dir, err := os.MkdirTemp("", "ff") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "agent")
	agent := exec.Command("ssh-agent", "-D", "-a", socket)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		agent.Process.Kill()
		agent.Wait()
		os.RemoveAll(dir)
	})
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("ssh-agent does not listen")
		}
	}
	t.Setenv("SSH_AUTH_SOCK", socket)
	openssh(t, "ssh-add", "-q", key)
}

// TestEnrollsWithAnyOpenSSHKey serves one job with each kind of key.
func TestEnrollsWithAnyOpenSSHKey(t *testing.T) {
	for _, c := range []struct {
		name string
		key  func(t *testing.T) (path string, flags []string)
	}{
		{"ECDSA", func(t *testing.T) (string, []string) {
			return sshKeygen(t, "", "-t", "ecdsa", "-b", "384"), nil
		}},
		{"RSA with its passphrase in a file", func(t *testing.T) (string, []string) {
			file := filepath.Join(t.TempDir(), "passphrase")
			if err := os.WriteFile(file, []byte(passphrase+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			return sshKeygen(t, passphrase, "-t", "rsa", "-b", "3072"), []string{"--passphrase-file", file}
		}},
		{"in ssh-agent", func(t *testing.T) (string, []string) {
			path := sshKeygen(t, "", "-t", "rsa", "-b", "3072")
			sshAgent(t, path)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			return path + ".pub", nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, flags := c.key(t)
			key, err := identity.Loader{
				AgentSocket: os.Getenv("SSH_AUTH_SOCK"),
				Passphrase:  func(string) ([]byte, error) { return []byte(passphrase), nil },
			}.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			f := newFarmFor(t, key)
			p := f.start(append(flags, "--key", path, "--sandbox", "none")...)
			first := f.broker.Next()
			client := f.broker.NewClient("01A", func(g *grant.Grant) { g.CPUCores = 1 })
			client.Seal(f.broker, first.Status.Sealing) // checks who bound it
			first.Reply(http.StatusOK, client.Job)
			client.Build(f.broker, "exit 3") // checks who answered
			if r := client.Result(); r.ExitCode != 3 {
				t.Errorf("result %+v", r)
			}
			fakebroker.Receive(t, f.broker.Reports, "report") // checks its signature
			p.Process.Signal(syscall.SIGTERM)
		})
	}
}

// TestFirstStartMakesTheKey starts an agent without keygen, which prints the line
// for the operator.
func TestFirstStartMakesTheKey(t *testing.T) {
	key, err := identity.GenerateKey(filepath.Join(t.TempDir(), "id"), "")
	if err != nil {
		t.Fatal(err)
	}
	f := newFarmFor(t, key) // which the agent does not have, so it will be refused
	p := f.start("--sandbox", "none", "--name", "anvil", "--url", "http://127.0.0.1:1")
	made := filepath.Join(f.dir, "state", keyName)
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(filepath.Join(f.dir, "state", "workspaces")); err == nil { // made after the key
			break
		}
		if time.Now().After(end) {
			t.Fatal("the agent does not start")
		}
	}
	p.Process.Signal(syscall.SIGTERM)
	if err := fakebroker.Receive(t, p.ended, "end"); err != nil {
		t.Errorf("drained with %v", err)
	}
	info, err := os.Stat(made)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info, err)
	}
	if key, err = (identity.Loader{}).Load(made); err != nil {
		t.Fatal(err)
	}
	if log := p.log.String(); !strings.Contains(log, "made a key") || !strings.Contains(log, "\n"+key.PublicLine("anvil")+"\n") {
		t.Errorf("it says\n%s", log)
	}
}

// TestStateSurvivesARestart checks that the sealing key stays, and that only the
// owner can read the agent's files.
func TestStateSurvivesARestart(t *testing.T) {
	f := newFarm(t)
	var recipients []string
	for range 2 {
		p := f.start("--sandbox", "none")
		poll := f.broker.Next()
		recipients = append(recipients, poll.Status.Sealing.Recipient)
		client := f.broker.NewClient("01A"+string(rune('A'+len(recipients))), func(g *grant.Grant) { g.CPUCores = 1 })
		poll.Reply(http.StatusOK, client.Job)
		client.Build(f.broker, "exit 3")
		client.Result()
		fakebroker.Receive(t, f.broker.Reports, "report")
		p.Process.Signal(syscall.SIGTERM)
		for last := f.broker.Next(); ; last = f.broker.Next() {
			last.Reply(http.StatusNoContent, nil)
			if last.Status.Draining {
				break
			}
		}
		if err := fakebroker.Receive(t, p.ended, "end"); err != nil {
			t.Fatal(err)
		}
	}
	if recipients[0] != recipients[1] {
		t.Errorf("the sealing key has changed: %q", recipients)
	}
	for _, name := range []string{keyName, sealingName, usedName} {
		if info, err := os.Stat(filepath.Join(f.dir, "state", name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

// terminal is a pseudo-terminal with a program that runs on it.
type terminal struct {
	t       *testing.T
	user    *os.File
	prompts chan string
	said    string // and not yet waited for
	cmd     *exec.Cmd
	out     bytes.Buffer
}

func onTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("this test reads the terminal's echo with a system call of Linux")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	user, tty, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	x := &terminal{t: t, user: user, prompts: make(chan string, 16), cmd: exec.Command(self, args...)}
	x.cmd.Env = append(os.Environ(), "FARFORGE_TEST_AGENT=1")
	x.cmd.Stdin, x.cmd.Stdout = tty, &x.out
	said, err := x.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := said.Read(buf)
			if n > 0 {
				x.prompts <- string(buf[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		x.cmd.Process.Kill()
		<-read
		tty.Close()
		user.Close()
	})
	return x
}

// until reads the program's output up to text.
func (x *terminal) until(text string) {
	x.t.Helper()
	for {
		if _, rest, found := strings.Cut(x.said, text); found {
			x.said = rest
			return
		}
		x.said += fakebroker.Receive(x.t, x.prompts, text)
	}
}

func TestPassphraseIsAskedForOnTheTerminal(t *testing.T) {
	key := sshKeygen(t, passphrase, "-t", "ed25519")
	x := onTerminal(t, "keygen", "--key", key, "--name", "anvil")
	for _, typed := range []string{"wrong", passphrase} {
		x.until("Passphrase for " + key)
		awaitEcho(t, x.user, false)
		if _, err := x.user.WriteString(typed + "\n"); err != nil {
			t.Fatal(err)
		}
		if typed == "wrong" {
			x.until("The passphrase is wrong.")
		}
	}
	if err := x.cmd.Wait(); err != nil || !strings.HasPrefix(x.out.String(), "ssh-ed25519 ") {
		t.Errorf("%v: %q", err, x.out.String())
	}
	awaitEcho(t, x.user, true)
}

func TestSignalAtThePassphrasePrompt(t *testing.T) {
	x := onTerminal(t, "keygen", "--key", sshKeygen(t, passphrase, "-t", "ed25519"))
	x.until("Passphrase for ")
	awaitEcho(t, x.user, false)
	x.cmd.Process.Signal(os.Interrupt)
	x.until("error: ")
	var exit *exec.ExitError
	if err := x.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("ended with %v", err)
	}
	awaitEcho(t, x.user, true)
}
