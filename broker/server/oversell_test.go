package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"github.com/farforge/farforge/broker/jobs"
	"github.com/farforge/farforge/common/capacity"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/login"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
)

// TestNoAgentIsOversold simulates minutes of agents, clients and brokers that fail
// in every way, in random order and with a simulated clock: polls and answers take
// up to two seconds on their way and overtake one another, agents are slow, silent,
// refuse, crash and return, reports get lost or arrive twice, clients hang up and
// return, and the broker crashes, too. All requests go through the server's own
// handler, to the real jobs, directory and scheduler.
//
// At every moment the jobs that an agent owes fit into its capacity. A job is owed
// from the broker's response with it until the agent has ended it, or its claim has
// ended without an accepted answer. At the end nothing is reserved.
//
// OVERSELL_SEED=N runs one seed alone.
func TestNoAgentIsOversold(t *testing.T) {
	first, last := uint64(1), uint64(40)
	if testing.Short() {
		last = 4
	}
	if s := os.Getenv("OVERSELL_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, last = n, n
	}
	w := newWorld(t)
	agents := []*agent{w.listAgent("small"), w.listAgent("medium"), w.listAgent("large")}
	seen := map[string]int{}
	for begin, seed := time.Now(), first; seed <= last && !t.Failed() && time.Since(begin) < 5*time.Second; seed++ {
		synctest.Test(t, func(t *testing.T) {
			day := newBadDay(t, w, agents, seed)
			day.play()
			t.Logf("seed %d: %v", seed, day.seen)
			for what, n := range day.seen {
				seen[what] += n
			}
		})
	}
	for _, what := range []string{
		"answer 204", "answer 410", "offer 200", "offer 202", "offer 504", "refused", "failed before the answer", "silent",
		"report 204", "an agent crashed", "the broker crashed",
	} {
		if seen[what] == 0 && first < last {
			t.Errorf("this never happened: %s", what)
		}
	}
}

// badDay is one simulation.
type badDay struct {
	pace
	t    *testing.T
	w    *world
	seed uint64
	// All goroutines end with over, and are in running.
	over    context.Context
	running sync.WaitGroup
	machine []*machine

	mu   sync.Mutex
	srv  *Server
	up   context.Context // while this broker runs
	seen map[string]int  // number of events, by name
	// begun is the start, and events the trace of each machine.
	begun  time.Time
	events map[string][]string
}

// pace has the times of a simulation. All are the longest of their kind, and whole
// multiples of grain: the coarser it is, the more happens at the same moment.
type pace struct {
	length, way, think, work, pause, life, grain time.Duration
	clients                                      int
	late                                         int // one in so many jobs is not answered in time
}

const daySession = 60 // seconds; longer than any work

var (
	slow = pace{
		length: 6 * time.Minute, way: 2 * time.Second, think: 800 * time.Millisecond, work: 50 * time.Second,
		pause: 4 * time.Second, life: 90 * time.Second, grain: time.Microsecond, clients: 8, late: 6,
	}
	// In a rush thousands of polls and offers meet in the same few moments.
	rush = pace{
		length: 40 * time.Millisecond, way: time.Millisecond, think: 2 * time.Millisecond, work: 3 * time.Millisecond,
		pause: time.Millisecond, life: 10 * time.Second, grain: time.Millisecond, clients: 30, late: 1000,
	}
)

// upTo returns a random time, mostly a short one.
func (d *badDay) upTo(rnd *rand.Rand, most time.Duration) time.Duration {
	if rnd.IntN(2) == 0 {
		most /= 8
	}
	return time.Duration(rnd.Int64N(int64(most)+1) / int64(d.grain) * int64(d.grain))
}

func newBadDay(t *testing.T, w *world, agents []*agent, seed uint64) *badDay {
	p := slow
	if seed%2 == 0 {
		p = rush
	}
	d := &badDay{pace: p, t: t, w: w, seed: seed, seen: map[string]int{}, begun: time.Now(), events: map[string][]string{}}
	for i, a := range agents {
		session, err := (&login.Tokens{Secret: w.key.Seed(), Origin: "https://broker.example.org", Role: identity.RoleAgent}).Session(a.key.Fingerprint(), time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		cores := 4 << i
		d.machine = append(d.machine, &machine{d: d, key: a.key, session: session, name: a.name, cores: cores, memory: cores * 1000, owes: map[*owed]bool{}})
	}
	return d
}

func (d *badDay) rnd(actor int) *rand.Rand { return rand.New(rand.NewPCG(d.seed, uint64(actor))) }

func (d *badDay) note(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen[what]++
}

// trace notes an event of a machine, which is printed if the machine is oversold.
func (d *badDay) trace(machine, format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events[machine] = append(d.events[machine], fmt.Sprintf("%9.3f ", time.Since(d.begun).Seconds())+fmt.Sprintf(format, args...))
}

func (d *badDay) tracesOf(machine string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.events[machine]
	return strings.Join(all[max(len(all)-60, 0):], "\n")
}

// now returns the running broker, or the last one.
func (d *badDay) now() *Server {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.srv
}

func (d *badDay) play() {
	over, stop := context.WithCancel(context.Background())
	d.over = over
	crash := d.begin()
	var clients sync.WaitGroup
	for i := range d.clients {
		clients.Go(func() { d.client(d.rnd(100 + i)) })
	}
	for i, m := range d.machine {
		d.running.Go(func() { m.live(d.rnd(200 + i)) })
	}
	rnd := d.rnd(1)
	for end := time.Now().Add(d.length); time.Now().Before(end); {
		time.Sleep(d.grain + d.upTo(rnd, d.length))
		d.note("the broker crashed")
		for _, m := range d.machine {
			d.trace(m.name, "the broker crashes")
		}
		crash()
		time.Sleep(d.grain + d.upTo(rnd, d.pause))
		crash = d.begin()
	}
	clients.Wait()

	// The longest session, the broker's grace and a poll: then nothing is reserved,
	// whether the last report was lost or its agent has crashed.
	time.Sleep(daySession*time.Second + 2*time.Minute)
	for _, m := range d.machine {
		if free := d.srv.info(d.t, m.key.Fingerprint()); free.FreeCores != m.cores || free.FreeMemMB != m.memory {
			d.t.Errorf("seed %d: %s has %+v free when all is over", d.seed, m.name, free)
		}
	}
	if n := d.srv.reading(d.t, "reservations"); n != 0 {
		d.t.Errorf("seed %d: %v reservations are left when all is over", d.seed, n)
	}
	stop()
	d.running.Wait()
	crash()
}

// begin starts a broker, and returns the function that crashes it, with all
// requests that it holds.
func (d *badDay) begin() (crash func()) {
	srv, err := New(Config{ExactMetrics: true, Config: jobs.Config{
		Origin: "https://broker.example.org", Signer: grant.NewSigner(d.w.key), Secret: d.w.key.Seed(),
		Directory: directory.New(d.w.agents), Users: &users.Registry{Open: true},
	}})
	if err != nil {
		d.t.Fatal(err)
	}
	up, kill := context.WithCancel(context.Background())
	d.mu.Lock()
	d.srv, d.up = srv, up
	d.mu.Unlock()
	return func() {
		kill()
		synctest.Wait() // its handlers have ended
		srv.Close()
	}
}

// send is one request: it travels, is served if the same broker and the sender are
// still there, and its response travels back. served is called between the two,
// with the broker's response. The code is 0 for a connection that broke.
func (d *badDay) send(ctx context.Context, rnd *rand.Rand, path, token string, body any, served func(code int, body []byte, broker context.Context)) (int, []byte) {
	data, opaque := body.([]byte)
	if !opaque {
		var err error
		if data, err = json.Marshal(body); err != nil {
			d.t.Error(err)
		}
	}
	d.mu.Lock()
	srv, up := d.srv, d.up
	d.mu.Unlock()
	there, back := d.upTo(rnd, d.way), d.upTo(rnd, d.way)
	time.Sleep(there)
	if up.Err() != nil {
		return 0, nil // the connection is gone
	}
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(up, cancel)()
	r := httptest.NewRequestWithContext(both, http.MethodPost, path, bytes.NewReader(data))
	r.Header.Set("Authorization", "Bearer "+token)
	rec := httptest.NewRecorder()
	srv.Handler().ServeHTTP(brokenPipe{rec, both}, r)
	if both.Err() != nil {
		return 0, nil
	}
	if served != nil {
		served(rec.Code, rec.Body.Bytes(), up)
	}
	time.Sleep(back)
	return rec.Code, rec.Body.Bytes()
}

// brokenPipe fails to write to a sender that is gone.
type brokenPipe struct {
	*httptest.ResponseRecorder
	ctx context.Context
}

func (p brokenPipe) Write(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.ResponseRecorder.Write(b)
}

// client requests one job after the other. Some wait long, some hang up, some
// return.
func (d *badDay) client(rnd *rand.Rand) {
	for end := time.Now().Add(d.length); time.Now().Before(end); time.Sleep(d.grain + d.upTo(rnd, d.pause)) {
		req := grantRequest()
		req.CPUCores, req.MemoryMB, req.TimeoutSecs = capacity.CoreShare(1+rnd.IntN(5)), 500*(1+rnd.IntN(9)), daySession
		code, body := d.send(d.over, rnd, api.PathGrantRequest, "", req, nil)
		if code != 200 {
			d.note(fmt.Sprintf("grant %d", code))
			continue
		}
		var g api.GrantResponse
		if err := json.Unmarshal(body, &g); err != nil {
			d.t.Error(err)
		}
		for range 1 + rnd.IntN(6) {
			ctx, hangUp := context.WithCancel(d.over)
			if rnd.IntN(5) == 0 {
				time.AfterFunc(d.upTo(rnd, d.pause), hangUp)
			}
			code, body := d.send(ctx, rnd, pathOf(api.PathOffer, g.JobID)+fmt.Sprintf("?wait=%d", rnd.IntN(12)), g.Grant, []byte("offer"), nil)
			hangUp()
			d.note(fmt.Sprintf("offer %d", code))
			if code == 202 {
				var w api.Waiting
				if err := json.Unmarshal(body, &w); err != nil {
					d.t.Error(err)
				}
				g.Grant = w.Grant
			} else if code != 0 || rnd.IntN(2) == 0 {
				break
			}
			time.Sleep(d.grain + d.upTo(rnd, d.pause))
		}
	}
}
