package cli

import "testing"

func TestMemory(t *testing.T) {
	for text, want := range map[string]Memory{
		"512": 512, "512M": 512, "512MiB": 512, "512mb": 512, " 512 M ": 512,
		"2g": 2048, "2GiB": 2048, "1gb": 1024, "1T": 1 << 20,
	} {
		var m Memory
		if err := m.Set(text); err != nil || m != want {
			t.Errorf("%q is %d, %v; want %d", text, m, err, want)
		}
		var back Memory
		if err := back.Set(m.String()); err != nil || back != m {
			t.Errorf("%s reads back as %d, %v", m, back, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "M", "iB", "1.5G", "1P", "99999999999", "2000T"} {
		var m Memory
		if err := m.Set(text); err == nil {
			t.Errorf("%q is %d", text, m)
		}
	}
}

func TestBytes(t *testing.T) {
	var b Bytes
	if b.String() != "" {
		t.Errorf("nothing is %q", b.String())
	}
	if err := b.Set("512MiB"); err != nil || b != 512<<20 || b.String() != "512M" {
		t.Errorf("%d, %s, %v", b, b.String(), err)
	}
	if err := b.Set("lots"); err == nil || b != 512<<20 {
		t.Errorf("%d, %v", b, err)
	}
}

func FuzzMemory(f *testing.F) {
	f.Add("512MiB")
	f.Add("1T")
	f.Fuzz(func(t *testing.T, text string) {
		var m, back Memory
		if m.Set(text) != nil {
			return
		}
		if m < 1 {
			t.Fatalf("%q is %d", text, int(m))
		}
		if err := back.Set(m.String()); err != nil || back != m {
			t.Fatalf("%q is %d and reads back as %d, %v", text, int(m), int(back), err)
		}
	})
}
