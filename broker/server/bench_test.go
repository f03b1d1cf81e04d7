package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/jobs"
	"github.com/farforge/farforge/broker/login"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
)

// benchEnv holds the number of agents that a broker of the benchmark lists.
const benchEnv = "FARFORGE_BENCH_AGENTS"

func benchKey() ed25519.PrivateKey  { return ed25519.NewKeyFromSeed(make([]byte, 32)) }
func benchFingerprint(i int) string { return fmt.Sprintf("SHA256:%042dA", i) }
func benchTokens(origin string) *login.Tokens {
	return &login.Tokens{Secret: benchKey().Seed(), Origin: origin, Role: identity.RoleAgent}
}

const benchOrigin = "https://broker.example.org"

// benchBroker runs the broker in a process of its own, so that its CPU time is
// measured without its clients'. It prints its URL, runs until its input ends, and
// prints its allocations.
func benchBroker() {
	n, err := strconv.Atoi(os.Getenv(benchEnv))
	if err != nil {
		panic(err)
	}
	agents := make([]identity.Authorized, n)
	for i := range agents {
		agents[i] = identity.Authorized{Name: fmt.Sprint(i), Fingerprint: benchFingerprint(i)}
	}
	srv, err := New(Config{Config: jobs.Config{
		Origin: benchOrigin, Signer: grant.NewSigner(benchKey()), Secret: benchKey().Seed(), Directory: directory.New(agents),
		Users:         &users.Registry{Open: true},
		AnswerTimeout: 20 * time.Second, // thousands of agents share two cores with the broker
	}})
	if err != nil {
		panic(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("http://" + ln.Addr().String())
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Println(m.Mallocs, m.TotalAlloc)
		stop()
	}()
	_ = srv.Run(ctx, nil, Listeners{API: ln})
	srv.Close()
}

// BenchmarkHTTPMatch is a closed loop over loopback HTTP with keep-alive: each
// match is a poll, an offer and an answer, 2 KB each way. With grants=requested
// each also requests its grant first; with grants=signed another process has
// signed the grants, so that the broker verifies each signature. CPU and
// allocations are those of the broker's process; ns/op is for all.
func BenchmarkHTTPMatch(b *testing.B) {
	for _, size := range []struct{ agents, clients int }{{64, 32}, {512, 256}, {2000, 1000}} {
		for _, grants := range []string{"requested", "signed"} {
			b.Run(fmt.Sprintf("agents=%d/clients=%d/grants=%s", size.agents, size.clients, grants), func(b *testing.B) {
				benchMatch(b, size.agents, size.clients, grants == "requested")
			})
		}
	}
}

func benchMatch(b *testing.B, agents, clients int, request bool) {
	child := exec.CommandContext(b.Context(), os.Args[0])
	child.Env = append(os.Environ(), benchEnv+"="+fmt.Sprint(agents))
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	lines.Scan()
	url := lines.Text()

	transport := &http.Transport{MaxIdleConnsPerHost: agents + clients}
	client := &http.Client{Transport: transport}
	sdp := bytes.Repeat([]byte("a=candidate 2 KB of SDP "), 86)
	ctx, hangUp := context.WithCancel(b.Context())
	do := func(path, token, mediaType string, body []byte) (int, []byte) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+path, bytes.NewReader(body))
		if err != nil {
			b.Error(err)
			return 0, nil
		}
		req.Header.Set("Content-Type", mediaType)
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(req)
		if err != nil {
			return 0, nil
		}
		defer resp.Body.Close()
		data, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, data
	}
	var agentsDone, clientsDone sync.WaitGroup
	var failures atomic.Int64
	for i := range agents {
		session, err := benchTokens(benchOrigin).Session(benchFingerprint(i), time.Now().Add(time.Hour))
		if err != nil {
			b.Fatal(err)
		}
		agentsDone.Go(func() {
			idle := idleStatus()
			for ctx.Err() == nil {
				status, err := json.Marshal(idle)
				if err != nil {
					b.Error(err)
					return
				}
				code, data := do(api.PathAgentPoll, session, api.TypeJSON, status)
				var job api.Job
				if code != 200 || json.Unmarshal(data, &job) != nil {
					continue
				}
				idle.EndedJobs = append(idle.EndedJobs[:0], job.JobID) // no job takes any time
				if code, _ := do(pathOf(api.PathAnswer, job.JobID), session, api.TypeOpaque, sdp); code != 204 && ctx.Err() == nil {
					failures.Add(1)
				}
			}
		})
	}
	jobs := make([]api.GrantResponse, b.N)
	if !request {
		for i := range jobs {
			jobs[i].JobID = fmt.Sprint(i)
			jobs[i].Grant = signWith(b, benchKey(), func(g *grant.Grant) {
				g.JobID, g.Agents = jobs[i].JobID, nil
				g.ExpiresAt = time.Now().Add(time.Hour)
				for k := range 8 {
					g.Agents = append(g.Agents, benchFingerprint((i*7+k)%agents))
				}
			})
		}
	}
	grantBody, err := json.Marshal(grantRequest())
	if err != nil {
		b.Fatal(err)
	}
	parked := fmt.Sprintf("\nfarforge_broker_parked_polls %d\n", agents)
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		resp, err := client.Get(url + api.PathMetrics)
		if err != nil {
			b.Fatal(err)
		}
		page, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if strings.Contains(string(page), parked) {
			break
		}
		if time.Now().After(end) {
			b.Fatal("the agents never parked")
		}
	}
	before := processCPU(b, child.Process.Pid)
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	b.ResetTimer()
	for range clients {
		clientsDone.Go(func() {
			for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
				if request {
					_, data := do(api.PathGrantRequest, "", api.TypeJSON, grantBody)
					if json.Unmarshal(data, &jobs[i]) != nil {
						failures.Add(1)
						continue
					}
				}
				start := time.Now()
				if code, _ := do(pathOf(api.PathOffer, jobs[i].JobID), jobs[i].Grant, api.TypeOpaque, sdp); code != 200 {
					failures.Add(1)
				}
				took[i] = time.Since(start)
			}
		})
	}
	clientsDone.Wait()
	b.StopTimer()
	used := processCPU(b, child.Process.Pid) - before
	_ = stdin.Close()
	lines.Scan()
	hangUp()
	agentsDone.Wait()
	transport.CloseIdleConnections()
	if err := child.Wait(); err != nil {
		b.Error(err)
	}
	if n := failures.Load(); n > 0 {
		b.Errorf("%d requests failed", n)
	}
	slices.Sort(took)
	n := float64(b.N)
	b.ReportMetric(used.Seconds()/n*1000, "broker-CPU-s/1000")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	if mallocs, size, ok := strings.Cut(lines.Text(), " "); ok {
		count, _ := strconv.ParseFloat(mallocs, 64)
		bytes, _ := strconv.ParseFloat(size, 64)
		b.ReportMetric(count/n, "broker-allocs/op")
		b.ReportMetric(bytes/n, "broker-B/op")
	}
}

// processCPU returns the CPU time that a process has used, from proc(5), in ticks
// of 10 ms.
func processCPU(b *testing.B, pid int) time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skip("needs /proc: ", err)
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		b.Fatal("unexpected form of /proc/PID/stat")
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
