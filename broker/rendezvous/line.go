package rendezvous

import (
	"container/list"
	"time"

	"github.com/farforge/farforge/common/capacity"
)

// line is the jobs that one agent may take, fair between users: deficit round
// robin, as Shreedhar and Varghese describe it (SIGCOMM 1995), with cores as the
// cost of a job and one core as the quantum.
//
//	turn ─▶ alice  ■ ■ ■ ■ ■ ■     in each round every user who has a job that
//	        bob    ■               could start earns a core; who has earned a
//	        carol  ■ ■             job's cores, gets it
//
// Who has queued a hundred jobs delays another's first job by one, not by a
// hundred. Within one user's jobs the order is that of their tickets. It is
// guarded by its agent's mutex, and bounded as the jobs in memory are.
type line struct {
	users map[string]*queue
	ring  list.List     // of *queue
	turn  *list.Element // in ring
	jobs  int
	spare *queue // saves making one for each job that waits alone
}

// queue is one user's jobs in a line; it is never empty.
type queue struct {
	user   string
	jobs   list.List // of place
	earned int       // cores
	seat   *list.Element
}

// place is a job's place in the line of its candidate i.
type place struct {
	job *job
	i   int
}

// add puts the job behind its user's older ones.
func (l *line) add(p place) *list.Element {
	user := p.job.user
	q := l.users[user]
	if q == nil {
		if l.users == nil {
			l.users = map[string]*queue{}
		}
		if q, l.spare = l.spare, nil; q == nil {
			q = new(queue)
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
		if e.Value.(place).job.ticket < p.job.ticket {
			return q.jobs.InsertAfter(p, e)
		}
	}
	return q.jobs.PushFront(p)
}

func (l *line) remove(e *list.Element) {
	q := l.users[e.Value.(place).job.user]
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

// after returns whose turn is next, round and round.
func (l *line) after(seat *list.Element) *list.Element {
	if next := seat.Next(); next != nil {
		return next
	}
	return l.ring.Front()
}

// next returns the job whose turn it is among those that wait and fit, or nil.
// It is counted as served.
func (l *line) next(free capacity.Capacity) *place {
	var (
		best   *queue
		found  place
		rounds int
	)
	for seat, n := l.turn, l.ring.Len(); n > 0; seat, n = l.after(seat), n-1 {
		q := seat.Value.(*queue)
		p, ok := q.first(free)
		if !ok {
			q.earned = 0 // nothing is saved up by those who cannot be served
			continue
		}
		if r := max(p.job.need.Cores-q.earned, 0); best == nil || r < rounds {
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
			seat.Value.(*queue).earned += rounds
		}
	}
	best.earned -= found.job.need.Cores
	l.turn = l.after(best.seat)
	return &found
}

// first is the user's oldest job that waits and fits.
func (q *queue) first(free capacity.Capacity) (place, bool) {
	for e := q.jobs.Front(); e != nil; e = e.Next() {
		if p := e.Value.(place); p.job.is(waiting) && free.Fits(p.job.need) {
			return p, true
		}
	}
	return place{}, false
}

// position is which place the job has by now, from 1, if all cost the same and
// nobody comes: behind its user's older ones, and for each of them and itself
// behind one of every other user who has as many and whose turn is sooner.
func (l *line) position(own *list.Element) int {
	now := time.Now()
	q := l.users[own.Value.(place).job.user]
	n := 1 + q.waiting(own, now)
	position, turns := n, n // the turns that others have until the job's
	for seat, left := l.turn, l.ring.Len(); left > 0; seat, left = l.after(seat), left-1 {
		if other := seat.Value.(*queue); other != q {
			position += min(other.waiting(nil, now), turns)
		} else {
			turns--
		}
	}
	return position
}

// waiting counts the jobs before end that wait; the whole queue for nil.
func (q *queue) waiting(end *list.Element, now time.Time) (n int) {
	for e := q.jobs.Front(); e != end; e = e.Next() {
		if e.Value.(place).job.inLine(now) {
			n++
		}
	}
	return n
}

// between is how long a client may take from one request to its next, which it
// is told to make within a second or two, until its job does not count in places.
const between = 5 * time.Second

// inLine tells whether the job waits, or will again in a moment because its client
// was told so.
func (j *job) inLine(now time.Time) bool {
	if !j.is(away) {
		return j.is(waiting)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.gaveUp && now.Sub(j.lastUsed) < between
}
