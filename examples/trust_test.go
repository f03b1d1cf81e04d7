package examples_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/peer"
	"github.com/farforge/farforge/common/signaling"
)

// betrayal lists strings that appear in every plain SDP.
var betrayal = regexp.MustCompile(`ice-ufrag|ice-pwd|a=candidate|typ host|a=fingerprint|"sdp"`)

// decoded returns the traffic with every base64 string in it decoded as well.
func decoded(traffic []byte) []byte {
	out := bytes.Clone(traffic)
	for _, text := range regexp.MustCompile(`[A-Za-z0-9+/]{40,}={0,2}`).FindAll(traffic, -1) {
		if plain, err := base64.StdEncoding.DecodeString(string(text)); err == nil {
			out = append(append(out, '\n'), plain...)
		}
	}
	return out
}

// TestBrokerCannotReadSDP records all traffic with the broker during a whole job
// and looks for SDP in it.
func TestBrokerCannotReadSDP(t *testing.T) {
	f := newTappedFarm(t, "bench-1")
	dir := f.project("hello", nil)
	f.client(t.Context(), "build", dir).want(t, 0)
	traffic := decoded(f.tap.everything())
	if !bytes.Contains(traffic, []byte(api.PathGrantRequest)) && !bytes.Contains(traffic, []byte("peer_fingerprint")) {
		t.Fatal("the tap recorded nothing")
	}
	if found := betrayal.Find(traffic); found != nil {
		t.Errorf("%q passed in clear", found)
	}

	// The control: the tap finds the SDP of a client that does not seal.
	cert, err := peer.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	c, err := signaling.New(signaling.Config{URL: f.url})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	granted, err := c.RequestGrant(t.Context(), &api.GrantRequest{
		PeerFingerprint: cert.Fingerprint(), RequiredChannels: []string{"espctl"}, CPUCores: 1, MemoryMB: 64, TimeoutSecs: 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	offer, err := peer.NewOffer(t.Context(), peer.Config{Certificate: cert, Loopback: true}, []string{"espctl"})
	if err != nil {
		t.Fatal(err)
	}
	defer offer.Close()
	plain, err := envelope.PlainOffer(string(offer.Description()), granted.Candidates)
	if err != nil {
		t.Fatal(err)
	}
	body, err := c.Offer(t.Context(), granted, plain.Body, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plain.OpenAnswer(granted.JobID, body); err != nil {
		t.Errorf("a plain offer's answer is not signed: %v", err)
	}
	if betrayal.Find(decoded(f.tap.everything())) == nil {
		t.Error("the tap did not find the plain SDP")
	}
}

// grantsWith returns a function that changes the candidates in every grant.
func grantsWith(t *testing.T, change func([]api.Candidate)) func(string, []byte) []byte {
	return func(path string, body []byte) []byte {
		var granted api.GrantResponse
		if path != api.PathGrantRequest || json.Unmarshal(body, &granted) != nil || granted.JobID == "" {
			return body
		}
		change(granted.Candidates)
		changed, err := json.Marshal(granted)
		if err != nil {
			t.Error(err)
		}
		return changed
	}
}

// TestBrokerImpersonatesAnAgent replaces the keys of an agent that the client
// knows by the broker's own.
func TestBrokerImpersonatesAnAgent(t *testing.T) {
	f := newTappedFarm(t, "bench-1")
	dir := f.project("hello", nil)
	f.client(t.Context(), "build", dir).want(t, 0)
	before, err := os.ReadFile(filepath.Join(dir, ".farforge", "out", "hello.bin"))
	if err != nil {
		t.Fatal(err)
	}

	key, err := identity.GenerateKey(f.path("evil_key"), "")
	if err != nil {
		t.Fatal(err)
	}
	sealing, err := envelope.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	bound, err := sealing.Bind(key)
	if err != nil {
		t.Fatal(err)
	}
	f.tap.lie(lies{
		change: grantsWith(t, func(candidates []api.Candidate) {
			for i := range candidates {
				candidates[i].Fingerprint, candidates[i].PublicKey, candidates[i].Sealing = key.Fingerprint(), key.PublicLine(""), bound
			}
		}),
		answer: func(path string, body []byte) []byte {
			if !strings.HasSuffix(path, "/offer") {
				return nil
			}
			return impersonate(t, key, sealing, path, body)
		},
	})
	got := f.client(t.Context(), "build", dir)
	got.want(t, 7, "bench-1", key.Fingerprint(), "known_agents")
	if after, err := os.ReadFile(filepath.Join(dir, ".farforge", "out", "hello.bin")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the artifacts of the last good build have changed: %v", err)
	}
}

// impersonate makes the impostor's answer to an offer that is sealed to it.
func impersonate(t *testing.T, key *identity.Key, sealing *envelope.Key, path string, body []byte) []byte {
	offer, err := envelope.OpenOffer(sealing, body)
	if err != nil {
		t.Errorf("the impostor cannot open the offer that is sealed to it: %v", err)
		return nil
	}
	cert, err := peer.NewCertificate()
	if err != nil {
		t.Error(err)
		return nil
	}
	conn, answer, err := peer.NewAnswer(t.Context(), peer.Config{Certificate: cert, Loopback: true}, peer.Description(offer.SDP), func(string) error { return nil })
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() {
		if _, received := conn.Traffic(); received > 0 {
			t.Errorf("the impostor received %d bytes from the client", received)
		}
		conn.Close()
	})
	jobID := strings.Split(path, "/")[2]
	sealed, err := offer.SealAnswer(key, jobID, string(answer), cert.Fingerprint())
	if err != nil {
		t.Error(err)
	}
	return sealed
}

// TestBrokerRemovesSealingKeys removes the candidates' keys from grants, so that a
// credulous client would send a plain offer.
func TestBrokerRemovesSealingKeys(t *testing.T) {
	f := newTappedFarm(t, "bench-1")
	dir := f.project("hello", nil)
	f.tap.lie(lies{change: grantsWith(t, func(candidates []api.Candidate) {
		for i := range candidates {
			candidates[i].Sealing = nil
		}
	})})
	f.client(t.Context(), "build", dir).want(t, 7, "seal")
	if betrayal.Find(decoded(f.tap.everything())) != nil {
		t.Error("the client sent a plain offer")
	}
}

// TestOpenSSHVerifiesABuild checks a build's signed statement without Farforge,
// using the files that the client keeps and the system's ssh-keygen.
func TestOpenSSHVerifiesABuild(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	f := newFarm(t, "bench-1")
	dir := f.project("hello", nil)
	f.client(t.Context(), "build", dir).want(t, 0)
	f.client(t.Context(), "verify", dir).want(t, 0)

	out := filepath.Join(dir, ".farforge", "out")
	statement, err := os.ReadFile(filepath.Join(out, "provenance.json"))
	if err != nil {
		t.Fatal(err)
	}
	known, err := filepath.Glob(f.path("config/*/known_agents"))
	if err != nil || len(known) != 1 {
		t.Fatalf("known_agents: %v, %v", known, err)
	}
	principal := "bench-1@" + strings.TrimPrefix(f.url, "http://")
	check := func(text []byte) error {
		cmd := exec.CommandContext(t.Context(), keygen, "-Y", "verify", "-f", known[0], "-I", principal,
			"-n", "build-provenance@farforge", "-s", filepath.Join(out, "provenance.json.sig"))
		cmd.Stdin = bytes.NewReader(text)
		output, err := cmd.CombinedOutput()
		t.Logf("%s", output)
		return err
	}
	if err := check(statement); err != nil {
		t.Error("ssh-keygen does not accept the statement")
	}
	if err := check(bytes.Replace(statement, []byte("esp32c3"), []byte("esp32c6"), 1)); err == nil {
		t.Error("ssh-keygen accepts a changed statement")
	}

	// After a change of one byte in one artifact, the client flashes nothing.
	image := filepath.Join(out, "hello.bin")
	data, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(image, data, 0o644); err != nil {
		t.Fatal(err)
	}
	f.client(t.Context(), "verify", dir).want(t, 7, "hello.bin")
	chip := start(t, "simulated-chip")
	f.client(t.Context(), "flash", dir, "--port", chip.First(t)).want(t, 7, "hello.bin")
}

// TestAnotherAgentReproduces builds twice, on two agents, and compares.
func TestAnotherAgentReproduces(t *testing.T) {
	f := newFarm(t, "bench-1", "bench-2")
	dir := f.project("hello", nil)
	f.client(t.Context(), "build", dir, "--agent", "bench-1").want(t, 0)
	statement := filepath.Join(dir, ".farforge", "out", "provenance.json")
	f.client(t.Context(), "build", dir, "--reproduce", statement).want(t, 0, "reproduced", "bench-2")
	if err := os.WriteFile(filepath.Join(dir, "main.c"), []byte("int main(void) { return 1; }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	f.client(t.Context(), "build", dir, "--reproduce", statement).want(t, 7, "source")
}

// TestRevokedAgentGetsNoJob removes an agent from the list.
func TestRevokedAgentGetsNoJob(t *testing.T) {
	f := newFarm(t, "bench-1")
	dir := f.project("hello", nil)
	f.client(t.Context(), "build", dir).want(t, 0)
	cmd := exec.CommandContext(t.Context(), filepath.Join(programs, "broker"), "agents", "remove", "bench-1", "--authorized-agents", f.path("authorized_agents"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f.agents[0].WaitFor(t, "no longer")
	f.client(t.Context(), "build", dir).want(t, 4, "no agent")
}
