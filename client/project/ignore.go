package project

import (
	"strings"
)

// rules is what the ignore files of one folder say, and those above it.
type rules struct {
	parent   *rules
	depth    int // folders from the top of the patterns' tree to this one
	git, own []pattern
}

// parseRules reads the text of an ignore file.
func parseRules(text string) []pattern {
	var out []pattern
	text = strings.TrimPrefix(text, "\ufeff")
	for line := range strings.SplitSeq(text, "\n") {
		if p, ok := parsePattern(line); ok {
			out = append(out, p)
		}
	}
	return out
}

// ignored tells whether an entry is left out. path has its folders' names and
// its own, from the top. The entry's folder is not left out itself: as in git,
// nothing below a folder that is left out can be taken back.
//
// The last rule that matches decides: in one file the last line, among files
// the deepest, and any .farforgeignore before any .gitignore.
func (r *rules) ignored(path []string, dir bool) bool {
	for _, own := range []bool{true, false} {
		for at := r; at != nil; at = at.parent {
			patterns := at.git
			if own {
				patterns = at.own
			}
			if out, decided := decide(patterns, path[at.depth:], dir); decided {
				return out
			}
		}
	}
	return false
}

func decide(patterns []pattern, below []string, dir bool) (out, decided bool) {
	name, whole := below[len(below)-1], strings.Join(below, "/")
	for i := len(patterns) - 1; i >= 0; i-- {
		p := &patterns[i]
		subject := name
		if p.anchored {
			subject = whole
		}
		if (dir || !p.dirOnly) && p.match.MatchString(subject) {
			return !p.include, true
		}
	}
	return false, false
}
