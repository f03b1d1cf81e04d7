package relay

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestMetricsAreInTheManual: doc/operating.md tells of each, and of no other.
func TestMetricsAreInTheManual(t *testing.T) {
	page, err := os.ReadFile("../../doc/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	r := prometheus.NewRegistry()
	newMetrics(r)
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		r.Describe(descs)
	}()
	name, served := regexp.MustCompile(`fqName: "(\w+)"`), map[string]bool{}
	for d := range descs {
		n := name.FindStringSubmatch(d.String())[1]
		if served[n] = true; !strings.Contains(string(page), "`"+n+"`") {
			t.Errorf("it does not tell of %s", n)
		}
	}
	for _, n := range regexp.MustCompile("`(farforge_relay_\\w+)`").FindAllStringSubmatch(string(page), -1) {
		if !served[n[1]] {
			t.Errorf("it tells of %s, which there is not", n[1])
		}
	}
}
