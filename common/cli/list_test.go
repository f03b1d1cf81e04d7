package cli

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestListVar(t *testing.T) {
	parse := func(s string) (netip.Addr, error) {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return addr, Usagef("%q is not an address", s).Hint("give an address such as 203.0.113.7")
		}
		return addr, nil
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "[]"},
		{[]string{"--ip", "192.0.2.1"}, "[192.0.2.1]"},
		{[]string{"--ip", "192.0.2.1, 192.0.2.2", "--ip=::1"}, "[192.0.2.1 192.0.2.2 ::1]"},
		{[]string{"--ip", "192.0.2.1,x"}, `--ip: "x" is not an address [give an address such as 203.0.113.7]`},
		{[]string{"--ip", ""}, `--ip: "" is not an address [give an address such as 203.0.113.7]`},
	} {
		f := pflag.NewFlagSet("x", pflag.ContinueOnError)
		f.SetOutput(io.Discard)
		var ips []netip.Addr
		ListVar(f, &ips, "ip", ",", parse, "listen on this `IP`")
		got := ""
		if err := f.Parse(tt.args); err != nil {
			failed := FlagError(err)
			got = fmt.Sprintf("%v %v", failed, Hints(failed))
		} else {
			got = fmt.Sprint(ips)
		}
		if got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.args, got, tt.want)
		}
	}
}

func TestFlagErrorInWords(t *testing.T) {
	for args, want := range map[string]string{
		"--n x":      `--n: "x" must be an integer`,
		"--d soon":   `--d: "soon" must be a duration like "30s" or "5m"`,
		"--m much":   `--m: "much" is not an amount of memory such as 512M or 2G`,
		"--nonsense": "unknown flag: --nonsense",
	} {
		f := pflag.NewFlagSet("x", pflag.ContinueOnError)
		f.SetOutput(io.Discard)
		f.Int("n", 0, "")
		f.Duration("d", time.Second, "")
		f.Bool("b", false, "")
		var m Memory
		f.Var(&m, "m", "")
		if got := FlagError(f.Parse(strings.Fields(args))); got.Error() != want || got.Exit != Usage {
			t.Errorf("%s: %v, want %s", args, got, want)
		}
	}
}
