package users

import (
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/quota"
)

const (
	someID   = "mfrggzdfmztwq2lk"
	someHash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	aliceRow = "key:alice id=" + someID + " sha256=" + someHash + " created=2026-11-20T18:55:56Z"
)

func TestEntriesAreWrittenAsTheyAreRead(t *testing.T) {
	for _, row := range []string{
		aliceRow,
		aliceRow + " expires=2027-11-20T00:00:00Z jobs=2 grants=0 sessions=4h30m",
		"ssh:SHA256:2ZZBL8fbvGTlPjCHmXSzy4mA2mEJfQ5aMKwTzJrDLWo grants=10",
		"oidc:https://token.actions.githubusercontent.com#repo:acme/lamp:environment:the%20lab sessions=90s",
		"anyone jobs=4", "ssh:SHA256:x",
	} {
		entries, err := ParseFile([]byte(row + "\n"))
		if err != nil || len(entries) != 1 {
			t.Errorf("%s: %v", row, err)
			continue
		}
		want := strings.Replace(row, "90s", "1m30s", 1)
		if got := entries[0].String(); got != want {
			t.Errorf("%s became %s", row, got)
		}
	}
	entries, err := ParseFile([]byte("# the lab\n\n" + aliceRow + " expires=2027-11-20T00:00:00Z jobs=2 grants=0"))
	if err != nil {
		t.Fatal(err)
	}
	e := entries[0]
	if e.Name() != "alice" || e.KeyID != someID || e.Hash[0] != 0x9f || e.Limits != (quota.Limits{Jobs: 2, Grants: quota.Unlimited}) {
		t.Errorf("%+v", e)
	}
	if end := time.Date(2027, 11, 20, 0, 0, 0, 0, time.UTC); !e.Expired(end) || e.Expired(end.Add(-time.Second)) {
		t.Error("it expires at another time than it says")
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	for _, tt := range []struct{ row, want string }{
		{"alice", `"alice" is not a user`},
		{"key:", "not a user's name"},
		{"key:al/ice jobs=1", "not a user's name"},
		{"key:alice", "id= belongs to a user with key:"},
		{"ssh:SHA256:x id=" + someID, "id= belongs to a user with key:"},
		{"ssh:MD5:x", "is not a user"},
		{"oidc:http://x#y", "is not a user"},
		{"anyone expires=2027-11-20T00:00:00Z", "only an access key expires"},
		{"anyone jobs", `"jobs" is not NAME=VALUE`},
		{"anyone jobs=1 jobs=2", "is in the line twice"},
		{"anyone jobs=-1", "jobs: "},
		{"anyone jobs=99999999", "jobs: "},
		{"anyone grants=many", "grants: "},
		{"anyone sessions=1.5s", "sessions: "},
		{"anyone sessions=25h", "sessions: "},
		{"anyone speed=1", `"speed" is not a limit`},
		{strings.Replace(aliceRow, someID, "x", 1), "id: "},
		{strings.Replace(aliceRow, someHash, "00", 1), "sha256: "},
		{strings.Replace(aliceRow, "T18:55:56Z", "", 1), "created: "},
		{aliceRow + "\n" + strings.Replace(aliceRow, someID, "aaaaaaaaaaaaaaaa", 1), "key:alice is on line 2 already"},
		{aliceRow + "\n" + strings.Replace(aliceRow, "alice", "bob", 1), someID + " is on line 2 already"},
		{"oidc:https://x#\u00e9", "not plain ASCII"},
		{"oidc:https://x#" + strings.Repeat("y", 512), "longer than 512"},
	} {
		_, err := ParseFile([]byte("# one line above\n" + tt.row + "\n"))
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%s: %v; want %s", tt.row, err, tt.want)
		}
	}
	if _, err := ParseFile(make([]byte, MaxFile+1)); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("a file that is too long: %v", err)
	}
}

// Every file that can be read can be written with the same meaning.
func FuzzUsersFile(f *testing.F) {
	f.Add([]byte(aliceRow + " expires=2027-11-20T00:00:00Z jobs=2 grants=0 sessions=4h\n"))
	f.Add([]byte("# comment\n\nanyone jobs=4\nssh:SHA256:x\n"))
	f.Add([]byte("oidc:https://x#y sessions=1h1s\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := ParseFile(data)
		if err != nil {
			return
		}
		var rows strings.Builder
		for _, e := range entries {
			rows.WriteString(e.String() + "\n")
		}
		again, err := ParseFile([]byte(rows.String()))
		if err != nil || len(again) != len(entries) {
			t.Fatalf("%q became %q: %v", data, rows.String(), err)
		}
		for i := range again {
			if again[i].String() != entries[i].String() || again[i].Limits != entries[i].Limits {
				t.Errorf("%q became %q", entries[i], again[i])
			}
		}
	})
}

// No authorized_users file makes its parser panic, and every key has its own
// fingerprint.
func FuzzAuthorizedUsers(f *testing.F) {
	f.Add([]byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBCfeZF6F7AN2pFl8DrQhOSVrjSXQnLwF9h6mTOBDVdf alice\n"))
	f.Add([]byte("expiry-time=\"20271231\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBCfeZF6F7AN2pFl8DrQhOSVrjSXQnLwF9h6mTOBDVdf alice\n"))
	f.Add([]byte("# nobody\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		listed, err := ParseAuthorized(data, func(error) {})
		if err != nil {
			return
		}
		for fingerprint, who := range listed {
			if who.Fingerprint != fingerprint || who.Key == nil || len(who.Targets) > 0 {
				t.Errorf("%s: %+v", fingerprint, who)
			}
		}
	})
}
