package monitor

// matcher finds a text in a stream of bytes, wherever the reads cut it. It is
// Knuth, Morris and Pratt's: have is how much of want the stream now ends with.
type matcher struct {
	want []byte
	fall []int // fall[n]: the longest end of want[:n] that want also begins with
	have int
}

// add takes one byte and reports whether the text is complete. An empty text
// never is.
func (m *matcher) add(b byte) bool {
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
