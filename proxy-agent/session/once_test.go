package session

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestOnceForgetsInTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "used.json")
	o, err := openOnce(file)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := o.take("a", start, start.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := o.take("a", start.Add(time.Minute), start.Add(time.Hour)); !errors.Is(err, ErrReplay) {
		t.Errorf("a was not remembered for its minute: %v", err)
	}
	if err := o.take("b", start.Add(2*time.Minute), start.Add(3*time.Minute)); err != nil || len(o.used) != 1 {
		t.Errorf("a is still remembered: %v, %v", o.used, err)
	}
	again, err := openOnce(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.take("b", start.Add(2*time.Minute), start.Add(3*time.Minute)); !errors.Is(err, ErrReplay) {
		t.Errorf("b was forgotten over a restart: %v", err)
	}
}

func TestOnceIsBounded(t *testing.T) {
	o, err := openOnce("")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i := range maxUsed {
		if err := o.take(strconv.Itoa(i), now, now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.take("one more", now, now.Add(time.Minute)); err == nil || !strings.Contains(err.Error(), "4096 grants were used") {
		t.Errorf("got %v", err)
	}
	if err := o.take("later", now.Add(time.Hour), now.Add(2*time.Hour)); err != nil || len(o.used) != 1 {
		t.Errorf("after they expired: %v, %d remembered", err, len(o.used))
	}
}

// TestOnceFailsClosed: a job that cannot be remembered is not served.
func TestOnceFailsClosed(t *testing.T) {
	if _, err := openOnce(filepath.Join(t.TempDir(), "missing", "used")); err == nil {
		t.Error("it is opened where no file can be made")
	}
	file := filepath.Join(t.TempDir(), "used")
	o, err := openOnce(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for range 2 {
		if err := o.take("a", now, now.Add(time.Minute)); err == nil || errors.Is(err, ErrReplay) ||
			!strings.Contains(err.Error(), "remember that the grant for job a is used") {
			t.Errorf("got %v", err)
		}
	}
	if err := os.WriteFile(file, []byte("{broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openOnce(file); err == nil || !strings.Contains(err.Error(), "can be deleted") {
		t.Errorf("a broken file: %v", err)
	}
}

// TestOnceNeedsNoMoreDisk checks that the file neither grows nor is replaced, both
// of which a full disk would prevent.
func TestOnceNeedsNoMoreDisk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "used")
	o, err := openOnce(file)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i := range 100 {
		if err := o.take(strconv.Itoa(i), now, now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	after, err := os.Stat(file)
	if err != nil || after.Size() != before.Size() || !os.SameFile(before, after) {
		t.Errorf("the file grew from %d to %d bytes, or was replaced: %v", before.Size(), after.Size(), err)
	}
	again, err := openOnce(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := again.take(strconv.Itoa(i), now, now.Add(time.Minute)); !errors.Is(err, ErrReplay) {
			t.Errorf("%d: %v", i, err)
		}
	}
}
