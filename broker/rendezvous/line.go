package rendezvous

import (
	"container/list"
	"slices"
	"time"

	"github.com/farforge/farforge/common/capacity"
)

// line holds the jobs that one agent may claim, fair between users: deficit round
// robin, as Shreedhar and Varghese describe it (SIGCOMM 1995), with cores as the
// cost of a job and one core as the quantum.
//
//	turn ─▶ alice  ■ ■ ■ ■ ■ ■     in each round every user with a job that could
//	        bob    ■               start earns a core; a user who has earned the
//	        carol  ■ ■             cores of a job gets it
//
// A user with a hundred jobs delays another's first job by one, not by a hundred.
// Within one user's jobs the order is that of their tickets. A line is guarded by
// its agent's mutex and bounded as the jobs in memory are.
type line[C Claim] struct {
	users map[string]*queue[C]
	ring  list.List     // of *queue
	turn  *list.Element // in ring
	jobs  int
	spare *queue[C] // saves an allocation for each job that waits alone
}

// queue is one user's jobs in a line; it is never empty.
type queue[C Claim] struct {
	user   string
	jobs   list.List // of place
	earned int       // cores
	seat   *list.Element
}

// place is a job's place in the line of its candidate i.
type place[C Claim] struct {
	job *Entry[C]
	i   int
}

// add puts the job behind its user's older ones.
func (l *line[C]) add(p place[C]) *list.Element {
	user := p.job.User
	q := l.users[user]
	if q == nil {
		if l.users == nil {
			l.users = map[string]*queue[C]{}
		}
		if q, l.spare = l.spare, nil; q == nil {
			q = new(queue[C])
		}
		q.user, q.earned = user, 0
		q.seat = l.ring.PushBack(q)
		l.users[user] = q
		if l.turn == nil {
			l.turn = q.seat
		}
	}
	l.jobs++
	for e := q.jobs.Back(); e != nil; e = e.Prev() {
		if e.Value.(place[C]).job.ticket < p.job.ticket {
			return q.jobs.InsertAfter(p, e)
		}
	}
	return q.jobs.PushFront(p)
}

func (l *line[C]) remove(e *list.Element) {
	q := l.users[e.Value.(place[C]).job.User]
	q.jobs.Remove(e)
	l.jobs--
	if q.jobs.Len() > 0 {
		return
	}
	if l.turn == q.seat {
		l.turn = l.after(q.seat)
	}
	l.ring.Remove(q.seat)
	delete(l.users, q.user)
	if l.ring.Len() == 0 {
		l.turn = nil
	}
	l.spare = q
}

// after returns the next seat, round and round.
func (l *line[C]) after(seat *list.Element) *list.Element {
	if next := seat.Next(); next != nil {
		return next
	}
	return l.ring.Front()
}

// next returns the job whose turn it is among those that wait, fit and are not
// among except, or nil. It is counted as served.
func (l *line[C]) next(free capacity.Capacity, except []*Entry[C]) *place[C] {
	var (
		best   *queue[C]
		found  place[C]
		rounds int
	)
	for seat, n := l.turn, l.ring.Len(); n > 0; seat, n = l.after(seat), n-1 {
		q := seat.Value.(*queue[C])
		p, ok := q.first(free, except)
		if !ok {
			q.earned = 0 // a user without a job that fits keeps no credit
			continue
		}
		if r := max(p.job.Need.Cores-q.earned, 0); best == nil || r < rounds {
			best, found, rounds = q, p, r
		}
		if rounds == 0 {
			break
		}
	}
	if best == nil {
		return nil
	}
	if rounds > 0 { // that many rounds at once
		for seat := l.ring.Front(); seat != nil; seat = seat.Next() {
			seat.Value.(*queue[C]).earned += rounds
		}
	}
	best.earned -= found.job.Need.Cores
	l.turn = l.after(best.seat)
	return &found
}

// first is the user's oldest job that waits and fits.
func (q *queue[C]) first(free capacity.Capacity, except []*Entry[C]) (place[C], bool) {
	for e := q.jobs.Front(); e != nil; e = e.Next() {
		p := e.Value.(place[C])
		if p.job.Job.Waiting() && free.Fits(p.job.Need) && !slices.Contains(except, p.job) {
			return p, true
		}
	}
	return place[C]{}, false
}

// position estimates the job's place, from 1, for equal costs and no arrivals:
// behind its user's older jobs, and for each of them and itself behind one job of
// every other user who has as many and whose turn is sooner.
func (l *line[C]) position(own *list.Element, now time.Time) int {
	q := l.users[own.Value.(place[C]).job.User]
	n := 1 + q.waiting(own, now)
	position, turns := n, n // the turns that others have until the job's
	for seat, left := l.turn, l.ring.Len(); left > 0; seat, left = l.after(seat), left-1 {
		if other := seat.Value.(*queue[C]); other != q {
			position += min(other.waiting(nil, now), turns)
		} else {
			turns--
		}
	}
	return position
}

// waiting counts the jobs before end that wait; the whole queue for nil.
func (q *queue[C]) waiting(end *list.Element, now time.Time) (n int) {
	for e := q.jobs.Front(); e != end; e = e.Next() {
		if e.Value.(place[C]).job.Job.Counts(now) {
			n++
		}
	}
	return n
}
