package users

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/common/identity"
)

func registry(t *testing.T, file, authorized string) (*Registry, *logs) {
	t.Helper()
	l := &logs{}
	r := &Registry{}
	var err error
	if file != "" {
		if r.File, err = OpenFile(file, l.logger()); err != nil {
			t.Fatal(err)
		}
	}
	if authorized != "" {
		if r.Authorized, err = OpenAuthorized(authorized, l.logger()); err != nil {
			t.Fatal(err)
		}
	}
	return r, l
}

func TestAccessKeys(t *testing.T) {
	path := write(t, "anyone jobs=7\n")
	key, old := NewAccessKey(), NewAccessKey()
	for name, k := range map[string]AccessKey{"alice": key, "old": old} {
		add := Add{Name: name, Limits: quota.Limits{Jobs: 3}}
		if name == "old" {
			add.Expires = noon
		}
		if err := AddUser(path, add, k, noon.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	r, _ := registry(t, path, "")
	if u, err := r.AccessKey(key.Reveal(), noon); err != nil || u.ID != "key:alice" || u.Limits.Jobs != 3 {
		t.Errorf("%+v, %v", u, err)
	}
	// The second half of another key: the id is known, the secret is not.
	mixed := key.Reveal()[:20] + old.Reveal()[20:]
	for name, token := range map[string]string{
		"an unknown key": NewAccessKey().Reveal(), "a wrong secret": mixed, "no key": "ff_", "nothing": "",
		"a wrong secret of an expired key": old.Reveal()[:20] + key.Reveal()[20:],
	} {
		if _, err := r.AccessKey(token, noon); err != ErrUnknown {
			t.Errorf("%s: %v", name, err) // the very same error
		}
	}
	if _, err := r.AccessKey(old.Reveal(), noon); !errors.Is(err, ErrExpired) || !strings.Contains(err.Error(), "2026-11-20T12:00:00Z") {
		t.Errorf("an expired key: %v", err)
	}
	if _, err := r.AccessKey(old.Reveal(), noon.Add(-time.Second)); err != nil {
		t.Errorf("a second before it expires: %v", err)
	}
	if _, err := (&Registry{Open: true}).AccessKey(key.Reveal(), noon); err != ErrUnknown {
		t.Errorf("without a users file: %v", err)
	}
	for id, want := range map[string]bool{"key:alice": true, "key:old": false, "key:bob": false, "ssh:SHA256:x": false, "oidc:https://x#y": false, Anyone: false, "": false} {
		if _, ok := r.Still(id, noon); ok != want {
			t.Errorf("still %s: %v", id, ok)
		}
	}
}

func TestSSHKeys(t *testing.T) {
	dir := t.TempDir()
	key, err := identity.GenerateKey(filepath.Join(dir, "key"), "")
	if err != nil {
		t.Fatal(err)
	}
	fp := key.Fingerprint()
	list := write(t, "# the lab\n"+key.PublicLine("alice")+"\n")
	r, l := registry(t, write(t, "ssh:"+fp+" grants=2\n"), list)
	if who, ok := r.SSHKey(fp, noon); !ok || who.Name != "alice" {
		t.Errorf("%+v", who)
	}
	if u, err := r.Session(fp, noon); err != nil || u.ID != "ssh:"+fp || u.Limits.Grants != 2 {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := r.Session("SHA256:x", noon); err != ErrUnknown {
		t.Errorf("an unlisted key: %v", err)
	}

	// Without the key in the list the session is void.
	rewrite(t, list, "rubbish\n")
	r.Check()
	if _, ok := r.Still("ssh:"+fp, noon); !ok || !strings.Contains(l.String(), "line 1") {
		t.Errorf("a wrong list changed something: %s", l)
	}
	rewrite(t, list, `expiry-time="20261120120000Z" `+key.PublicLine("")+"\n")
	r.Check()
	if _, err := r.Session(fp, noon); err != ErrUnknown {
		t.Errorf("an expired key: %v", err)
	}
	if _, err := r.Session(fp, noon.Add(-time.Second)); err != nil {
		t.Errorf("a second before it expires: %v", err)
	}
	rewrite(t, list, "")
	r.Reload()
	if _, err := r.Session(fp, noon); err != ErrUnknown {
		t.Errorf("a removed key: %v", err)
	}

	for text, want := range map[string]string{
		key.PublicLine("a") + "\n" + key.PublicLine("b"):     "line 2: " + fp + " is in the list twice",
		`targets="esp32" ` + key.PublicLine("a"):             "not for users",
		`command="true" ` + key.PublicLine("a"):              "is unknown",
		strings.Repeat("#", MaxFile+1):                       "longer than",
		"\n" + strings.Repeat("ssh-ed25519 AAAA alice\n", 2): "line 2: ",
	} {
		if _, err := ParseAuthorized([]byte(text), func(error) {}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v; want %s", text, err, want)
		}
	}
}

// A key of a kind that OpenSSH has and we lack must not keep the broker from
// starting, nor the other users out.
func TestUnusableKeysAreSkipped(t *testing.T) {
	key, err := identity.GenerateKey(filepath.Join(t.TempDir(), "key"), "")
	if err != nil {
		t.Fatal(err)
	}
	r, l := registry(t, "", write(t, "\ufeff"+weakKey+" old\n"+securityKey+" token\n"+key.PublicLine("alice")+"\n"))
	if _, ok := r.SSHKey(key.Fingerprint(), noon); !ok || r.Authorized.Len() != 1 {
		t.Errorf("%d keys are listed", r.Authorized.Len())
	}
	for _, want := range []string{"line 1: ", "fewer than 3072 bits", "line 2: ", "sk-ssh-ed25519@openssh.com"} {
		if !strings.Contains(l.String(), want) {
			t.Errorf("the log does not have %q: %s", want, l)
		}
	}
}

// weakKey has 2048 bits; securityKey is on a token.
const (
	weakKey     = `ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDdQFeuJSj2dMDu1f8kSLaeOJwDkaeLEZ/QyG+oxF62NDMSVxcTAOfaHXNNpQyauUmBJILgPN0yyO7xbWGcFS4rtpzg/hReMSG+5upR9UQBg+7zOaqsvz2CcELou4WwfpLDaTYT77kLDIn6NZ9RtFzfyMSLPqZrz7zNGW+VcI5sTVMLxHeCRwKB+4S5g6sCgYchZDqP1ZGRAGfnVuF+akZdJXbBye6Xvgs62irx1MT0OVnmCyT3FAKwyVkphqH/GX7NLNWI6+3CEmuDI9Ecbio7xaKgqbszoxYs8CPDzmVy4LUkP2daVE6CjU2l0xrKSUNgFWTEVI9sa/Bq702XE2Jt`
	securityKey = `sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABHNzaDo=`
)

func TestAFileThatOthersCanChangeIsRefused(t *testing.T) {
	path := write(t, "")
	r, l := registry(t, path, "")
	if err := os.Chmod(path, 0o620); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(path, quiet()); err == nil || !strings.Contains(err.Error(), "has mode 0620, others can change it; run: chmod go-w "+path) {
		t.Errorf("%v", err)
	}
	r.Reload()
	if !strings.Contains(l.String(), "the old one stays") {
		t.Errorf("log: %s", l)
	}
	// A missing file is logged once, and read when it is back.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.Check()
	logged := l.String()
	r.Check()
	if l.String() != logged {
		t.Errorf("logged twice: %s", l)
	}
	key := NewAccessKey()
	if err := AddUser(path, Add{Name: "alice"}, key, noon); err != nil {
		t.Fatal(err)
	}
	r.Check()
	if _, err := r.AccessKey(key.Reveal(), noon); err != nil {
		t.Errorf("back again: %v", err)
	}
}

func TestAnyoneHasOnlyTheLimitsOfTheFile(t *testing.T) {
	r, _ := registry(t, write(t, "anyone jobs=7\n"), "")
	if _, ok := r.Anybody(); ok {
		t.Error("a closed broker admits anyone")
	}
	r.Open = true
	none := quota.Limits{Jobs: quota.Unlimited, Grants: quota.Unlimited, Sessions: quota.Unlimited}
	if u, ok := r.Anybody(); !ok || u.ID != Anyone || u.Limits != (quota.Limits{Jobs: 7}).Or(none) {
		t.Errorf("%+v", u)
	}
	if u, ok := (&Registry{Open: true}).Still(Anyone, noon); !ok || u.Limits != none {
		t.Errorf("%+v", u)
	}
}
