package api

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func TestAgentQueries(t *testing.T) {
	for _, q := range []AgentQuery{
		{}, {Target: "esp32c3"}, {Toolchain: "esp-idf@>=5.1,<5.4"}, {Target: "esp32", Toolchain: "esp-idf", Tags: []string{"eu", "fast+"}},
	} {
		got, err := ParseAgentQuery(q.Values())
		if err != nil || !reflect.DeepEqual(got, q) {
			t.Errorf("%+v became %+v, %v", q, got, err)
		}
	}
	for query, parameter := range map[string]string{
		"target=esp+32": "target: ", "target=a&target=b": "target: ", "toolchain=%40": "toolchain: ", "toolchain=idf%40": "toolchain: ",
		"toolchain=a&toolchain=a": "toolchain: ", "tag=": "tag: ", "tag=eu&tag=a%2Fb": "tag: ", strings.Repeat("tag=x&", MaxTags+1): "tag: ",
	} {
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if q, err := ParseAgentQuery(v); err == nil || !strings.HasPrefix(err.Error(), parameter) {
			t.Errorf("%s became %+v, %v", query, q, err)
		}
	}
}

// FuzzParseAgentQuery: an accepted query is valid, and Values restores it.
func FuzzParseAgentQuery(f *testing.F) {
	f.Add("target=esp32c3&toolchain=esp-idf%40~5.3&tag=eu&tag=fast&after=SHA256:x")
	f.Add("target=&toolchain=&tag=")
	f.Fuzz(func(t *testing.T, query string) {
		v, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		q, err := ParseAgentQuery(v)
		if err != nil {
			return
		}
		if again, err := ParseAgentQuery(q.Values()); err != nil || !reflect.DeepEqual(again, q) {
			t.Fatalf("%+v became %+v, %v", q, again, err)
		}
	})
}
