package cli

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestSectionKeepsOrderAndHeading(t *testing.T) {
	f := pflag.NewFlagSet("x", pflag.ContinueOnError)
	var log LogConfig
	var url string
	Section(f, "Log", log.Register)
	Section(f, "Broker", func(f *pflag.FlagSet) {
		f.StringVar(&url, "url", "", "use the broker at this `URL`")
		Env(f, "url", "FARFORGE_URL")
	})
	var got []string
	f.VisitAll(func(flag *pflag.Flag) { got = append(got, SectionOf(flag)+"/"+flag.Name+"/"+EnvOf(flag)) })
	want := "Log/log-format/ Log/log-level/ Broker/url/FARFORGE_URL"
	if strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestFromEnvironment(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		args        []string
		want        int
		failure     string
	}{
		{"unset", "", nil, 7, ""},
		{"set", "9", nil, 9, ""},
		{"flag wins", "9", []string{"--baud", "8"}, 8, ""},
		{"wrong", "fast", nil, 0, "ESPTOOL_BAUD"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := pflag.NewFlagSet("x", pflag.ContinueOnError)
			baud := f.Int("baud", 7, "flash at this `RATE`")
			Env(f, "baud", "ESPTOOL_BAUD")
			if err := f.Parse(tt.args); err != nil {
				t.Fatal(err)
			}
			err := FromEnvironment(f, func(string) (string, bool) { return tt.value, true })
			if tt.failure == "" && err != nil || tt.failure != "" && (err == nil || !strings.Contains(err.Error(), tt.failure)) {
				t.Errorf("error %v, want %q", err, tt.failure)
			}
			if tt.failure == "" && *baud != tt.want {
				t.Errorf("baud %d, want %d", *baud, tt.want)
			}
		})
	}
}

func TestLogConfig(t *testing.T) {
	for _, tt := range []struct {
		c    LogConfig
		want string
	}{
		{LogConfig{"text", "info"}, ""},
		{LogConfig{"json", "debug"}, ""},
		{LogConfig{"xml", "info"}, "--log-format is out of range"},
		{LogConfig{"text", "loud"}, "--log-level:"},
	} {
		err := tt.c.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%+v: %v, want %q", tt.c, err, tt.want)
		}
	}
	var out strings.Builder
	c := LogConfig{"json", "warn"}
	c.Logger(&out).Info("quiet")
	c.Logger(&out).Warn("loud")
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, `"msg":"loud"`) {
		t.Errorf("logged %s", got)
	}
}
