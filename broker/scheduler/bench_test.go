package scheduler

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/directory"
)

// largeFarm returns a farm of agents with different speeds, a third of them busy.
func largeFarm(size int) (*testFarm, *rand.Rand) {
	rnd := rand.New(rand.NewPCG(1, 2))
	f := newTestFarm()
	var agents []directory.Agent
	for i := range size {
		agents = append(agents, buildsIDF(fmt.Sprint(i)))
	}
	f.list(agents...)
	for _, a := range agents {
		if rnd.IntN(3) == 0 {
			a = with(with(a, busy), free(1))
		}
		f.set(a, now)
		for range 3 {
			f.Learn(Result{Agent: a.Fingerprint, Target: idf.Target, Toolchain: idf.Toolchain.Name, Project: f.ProjectKey(fmt.Sprint(rnd.IntN(size))),
				Verdict: Built, Took: time.Duration(float64(time.Minute) * (0.5 + rnd.Float64())), At: now})
		}
	}
	return f, rnd
}

func BenchmarkFarmChoose(b *testing.B) {
	for _, size := range []int{100, 1000, 100_000} {
		b.Run(fmt.Sprint("agents=", size), func(b *testing.B) {
			f, _ := largeFarm(size)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				n := idf
				n.Project = fmt.Sprint(i % 1000)
				if len(f.Choose(n, options(uint64(i)))) == 0 {
					b.Fatal("no agent was chosen")
				}
			}
		})
	}
}

// BenchmarkFarmChooseParallel chooses, claims and learns on as many cores as -cpu
// says.
func BenchmarkFarmChooseParallel(b *testing.B) {
	for _, size := range []int{1000, 100_000} {
		b.Run(fmt.Sprint("agents=", size), func(b *testing.B) {
			f, _ := largeFarm(size)
			var turn atomic.Uint64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := turn.Add(1)
					n := idf
					n.Project = fmt.Sprint(i % 1000)
					got := f.Choose(n, options(i))
					if len(got) == 0 {
						b.Fatal("no agent was chosen")
					}
					f.churn(got[0].Fingerprint, i)
				}
			})
		})
	}
}

// churn claims an agent for a job and ends the job; each eighth job has a result.
func (f *testFarm) churn(fingerprint string, i uint64) {
	job := fmt.Sprint(i)
	if f.dir.Reserve(fingerprint, directory.Reservation{Job: job, Need: idf.Capacity, Since: now, Until: now.Add(time.Hour), Done: now.Add(time.Minute)}) {
		f.dir.Release(fingerprint, job, now)
	}
	if i%8 == 0 {
		f.Learn(Result{Agent: fingerprint, Target: idf.Target, Toolchain: idf.Toolchain.Name, Project: i % 1000, Verdict: Built, Took: time.Minute, At: now})
	}
}
