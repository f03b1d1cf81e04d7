package boardtext

// Matcher finds a text in a stream of bytes by the algorithm of Knuth, Morris and Pratt.
// Reads may cut the stream anywhere.
type Matcher struct {
	want []byte
	fall []int // fall[n]: the longest end of want[:n] that want also begins with
	have int   // how much of want the stream now ends with
}

// NewMatcher returns a Matcher for a text.
func NewMatcher(text string) Matcher { return Matcher{want: []byte(text)} }

// Add takes one byte and reports whether it completes the text. An empty text is
// never complete.
func (m *Matcher) Add(b byte) bool {
	if len(m.want) == 0 {
		return false
	}
	if m.fall == nil {
		m.fall = falls(m.want)
	}
	if m.have == len(m.want) {
		m.have = m.fall[m.have]
	}
	for m.have > 0 && m.want[m.have] != b {
		m.have = m.fall[m.have]
	}
	if m.want[m.have] == b {
		m.have++
	}
	return m.have == len(m.want)
}

func falls(want []byte) []int {
	f := make([]int, len(want)+1)
	for n, k := 1, 0; n < len(want); n++ {
		for k > 0 && want[k] != want[n] {
			k = f[k]
		}
		if want[k] == want[n] {
			k++
		}
		f[n+1] = k
	}
	return f
}
