package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

const protocolPage = "../../doc/protocol.md"

// examples returns the fenced blocks of the page, by the word that follows their
// language.
func examples(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile(protocolPage)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, m := range regexp.MustCompile("(?s)```(?:json|text) (\\w+)\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		if _, twice := found[m[1]]; twice {
			t.Errorf("two examples of %s", m[1])
		}
		found[m[1]] = m[2]
	}
	return found
}

// TestExamplesAreTheTypes decodes each example into its type: the example has no
// field that the type lacks, is valid, and is the same when it is encoded again.
func TestExamplesAreTheTypes(t *testing.T) {
	ex := examples(t)
	for name, v := range map[string]any{
		"HelloRequest": &api.HelloRequest{}, "HelloResponse": &api.HelloResponse{},
		"SessionRequest": &api.SessionRequest{}, "SessionResponse": &api.SessionResponse{},
		"Status": &api.Status{}, "Job": &api.Job{}, "Report": &api.Report{}, "Confirmation": &api.Confirmation{},
		"GrantRequest": &api.GrantRequest{}, "GrantResponse": &api.GrantResponse{}, "Waiting": &api.Waiting{},
		"Agents": &[]api.AgentInfo{}, "ListedAgent": &api.ListedAgent{}, "AddAgent": &api.AddAgent{}, "Usage": &api.Usage{},
		"Events": &[]api.Event{}, "Health": &api.Health{}, "Problem": &api.Problem{}, "QuotaProblem": &api.Problem{},
	} {
		d := json.NewDecoder(strings.NewReader(ex[name]))
		d.DisallowUnknownFields()
		if err := d.Decode(v); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c, ok := v.(validator); ok {
			if err := c.Validate(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		written, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if json.Unmarshal(written, &a) != nil || json.Unmarshal([]byte(ex[name]), &b) != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%s is %s, but is encoded as %s", name, ex[name], written)
		}
		delete(ex, name)
	}
	delete(ex, "SignedBytes")
	for name := range ex {
		t.Errorf("no test checks the example of %s", name)
	}
}

// shape lists the paths of all keys of a JSON value.
func shape(t *testing.T, data []byte) []string {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	paths := map[string]bool{}
	var walk func(string, any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				paths[at+"."+k] = true
				walk(at+"."+k, x)
			}
		case []any:
			for _, x := range v {
				walk(at+"[]", x)
			}
		default:
			paths[fmt.Sprintf("%s %T", at, v)] = true
		}
	}
	walk("", v)
	return slices.Sorted(maps.Keys(paths))
}

// TestExamplesAreServed sends the requests of the page to a real broker, with
// real keys and ids in place of the page's, and compares the responses with those
// of the page, key by key.
func TestExamplesAreServed(t *testing.T) {
	ex := examples(t)
	into := func(name string, v any) {
		t.Helper()
		if err := json.Unmarshal([]byte(ex[name]), v); err != nil {
			t.Fatal(err)
		}
	}
	like := func(name string, r reply, status int) []byte {
		t.Helper()
		if r.err != nil || r.status != status {
			t.Fatalf("%s: %d %s %v", name, r.status, r.body, r.err)
		}
		if got, want := shape(t, r.body), shape(t, []byte(ex[name])); !slices.Equal(got, want) {
			t.Errorf("%s: the broker sends %v, the page shows %v", name, got, want)
		}
		return r.body
	}
	w := newWorld(t)
	a := w.listAgent("bench-1")
	w.adjust = func(c *Config) { c.ICEServers = []api.ICEServer{{URLs: []string{"stun:stun.example.org:3478"}}} }
	b := w.start()

	var hello api.HelloRequest
	into("HelloRequest", &hello)
	hello.PublicKey = a.key.PublicLine(a.name)
	var challenge api.HelloResponse
	if err := json.Unmarshal(like("HelloResponse", b.post(api.PathAgentHello, "", &hello), 200), &challenge); err != nil {
		t.Fatal(err)
	}
	var session api.SessionRequest
	into("SessionRequest", &session)
	session.PublicKey, session.Challenge = hello.PublicKey, challenge.Challenge
	a.sign(t, challenge.Origin, &session)
	var opened api.SessionResponse
	if err := json.Unmarshal(like("SessionResponse", b.post(api.PathAgentSession, "", &session), 200), &opened); err != nil {
		t.Fatal(err)
	}
	a.session = opened.Session

	var status api.Status
	into("Status", &status)
	status.Sealing = bindSealing(t, a)
	as[struct{}](t, b.post(api.PathAgentPoll+"?wait=0", a.session, &status), 204)
	farm := as[[]api.AgentInfo](t, reply{status: 200, body: []byte(ex["Agents"])}, 200)
	listed := as[[]api.AgentInfo](t, reply{status: 200, body: like("Agents", b.send(t.Context(), "GET", api.PathAgents, "", nil), 200)}, 200)
	listed[0].Fingerprint, listed[0].LastSeen = farm[0].Fingerprint, farm[0].LastSeen
	if !reflect.DeepEqual(listed, farm) {
		t.Errorf("the broker lists %+v, the page shows %+v", listed, farm)
	}
	var g api.GrantResponse
	if err := json.Unmarshal(like("GrantResponse", b.post(api.PathGrantRequest, "", json.RawMessage(ex["GrantRequest"])), 200), &g); err != nil {
		t.Fatal(err)
	}
	first, leave := context.WithCancel(t.Context())
	ahead := b.offer(first, b.grant(), "")
	b.until("another job waits", func() bool { return b.srv.board.Stats().Offering == 1 })
	like("Waiting", <-b.offer(t.Context(), g, "?wait=0"), 202)
	leave()
	<-ahead
	b.until("no job waits", func() bool { return b.srv.board.Stats().Offering == 0 })
	poll := b.goPost(t.Context(), api.PathAgentPoll, a.session, &status)
	b.until("the agent is parked", func() bool { return b.srv.board.Stats().Parked == 1 })
	offer := b.offer(t.Context(), g, "")
	like("Job", <-poll, 200)
	as[struct{}](t, b.candidate(g.JobID, a.session, "a candidate"), 204)
	like("Events", b.events(g.JobID, g.Grant, "?after=0"), 200)
	as[struct{}](t, b.answer(a, g.JobID), 204)
	wantAnswer(t, offer, a)

	var report api.Report
	into("Report", &report)
	if got := string(report.SignedBytes()); got != ex["SignedBytes"] {
		t.Errorf("the page shows the signed bytes\n%sbut they are\n%s", ex["SignedBytes"], got)
	}
	report.JobID = g.JobID
	var err error
	if report.Signature, err = a.key.Sign(identity.NamespaceReport, report.SignedBytes()); err != nil {
		t.Fatal(err)
	}
	as[struct{}](t, b.post(api.PathAgentReport, a.session, &report), 204)
	var confirmation api.Confirmation
	into("Confirmation", &confirmation)
	confirmation.Agent = a.key.Fingerprint()
	as[struct{}](t, b.post(pathOf(api.PathConfirmation, g.JobID), g.Grant, &confirmation), 204)

	shownAgent := as[api.ListedAgent](t, reply{status: 200, body: []byte(ex["ListedAgent"])}, 200)
	var add api.AddAgent
	into("AddAgent", &add)
	admin := newWorld(t)
	admin.serveList("")
	ruled := admin.start()
	like("ListedAgent", ruled.send(t.Context(), "POST", api.PathServiceAgent, adminToken, &add), 201)
	one := like("ListedAgent", ruled.send(t.Context(), "GET", onePath(shownAgent.Fingerprint), adminToken, nil), 200)
	if got := as[api.ListedAgent](t, reply{status: 200, body: one}, 200); got.Name != shownAgent.Name || got.PublicKey != shownAgent.PublicKey || !slices.Equal(got.Targets, shownAgent.Targets) {
		t.Errorf("the broker lists %+v, the page shows %+v", got, shownAgent)
	}
	as[struct{}](t, ruled.send(t.Context(), "DELETE", onePath(shownAgent.Fingerprint), adminToken, nil), 204)

	like("Health", b.send(t.Context(), "GET", api.PathHealth, "", nil), 200)
	var problem, shown api.Problem
	into("Problem", &shown)
	wanted := grantRequest()
	wanted.Target, wanted.Toolchain = "esp32s3", "esp-idf@5.4"
	if err := json.Unmarshal(like("Problem", b.post(api.PathGrantRequest, "", wanted), 503), &problem); err != nil || !reflect.DeepEqual(problem, shown) {
		t.Errorf("the broker sends %+v, the page shows %+v", problem, shown)
	}
}

// TestTablesAreTrue compares the page's tables with the code.
func TestTablesAreTrue(t *testing.T) {
	page, err := os.ReadFile(protocolPage)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../../common/api/problem.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`Code\w+ +Code = "(\w+)" +// (\d+)`).FindAllSubmatch(source, -1)
	if len(codes) == 0 {
		t.Fatal("no codes were found in common/api")
	}
	for _, c := range codes {
		if row := fmt.Sprintf("\n| %s | `%s` | ", c[2], c[1]); !bytes.Contains(page, []byte(row)) {
			t.Errorf("the page lacks the row %q", row)
		}
	}
	if rows := regexp.MustCompile("(?m)^\\| \\d+ \\| `").FindAll(page, -1); len(rows) != len(codes) {
		t.Errorf("the page has %d codes, the code %d", len(rows), len(codes))
	}
	for what, limit := range map[string]any{
		"a body": fmt.Sprint(api.MaxBody, " bytes"), "an offer or an answer": fmt.Sprint(api.MaxOffer, " bytes"),
		"a candidate": fmt.Sprint(api.MaxCandidate, " bytes"), "candidates of each end of a job": api.MaxTrickled,
		"data channels in a grant": api.MaxChannels, "agents to pin a job to": api.MaxAgents,
		"capabilities of an agent": api.MaxCapabilities, "an agent's nonce": fmt.Sprint(api.NonceSize, " bytes"),
		"a request is held": api.MaxWait, "a grant can be redeemed": api.GrantLife,
		"a challenge can be signed": api.ChallengeLife, "a session": api.SessionLife,
		"from a claim to its answer": api.AnswerTimeout, "a job is remembered after its last use": api.JobMemory,
	} {
		if row := fmt.Sprintf("\n| %s | %v |\n", what, limit); !bytes.Contains(page, []byte(row)) {
			t.Errorf("the page lacks the row %q", row)
		}
	}
	if !bytes.Contains(page, []byte("`"+api.SessionHeader+"`")) {
		t.Errorf("the page does not mention %s", api.SessionHeader)
	}
	for _, path := range []string{
		api.PathGrantRequest, api.PathAgents, api.PathOffer, api.PathAnswer, api.PathCandidate, api.PathEvents, api.PathConfirmation, api.PathAgentHello, api.PathAgentSession,
		api.PathUserHello, api.PathUserSession, api.PathAgentPoll, api.PathAgentReport, api.PathServiceAgent, api.PathHealth, api.PathMetrics, api.PathJWKS,
	} {
		if !bytes.Contains(page, []byte(path+"`")) {
			t.Errorf("the page does not mention %s", path)
		}
	}
}
