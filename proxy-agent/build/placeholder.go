package build

import (
	"fmt"
	"regexp"
	"strconv"
)

// Values are the values of the placeholders in a recipe's command.
type Values struct {
	Target string // {target}: the chip
	Cores  int    // {cores}: the number of granted processor cores
	Out    string // {out}: the directory for outputs, relative to the project
	Cache  string // {cache}: the folder that is kept; only if the recipe uses one
}

// cacheWord is the placeholder for Values.Cache.
const cacheWord = "{cache}"

// placeholder matches {word}; other braces have no meaning.
var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

// expand replaces the placeholders in s. An unknown one is an error.
func (v Values) expand(s string) (string, error) {
	var unknown string
	out := placeholder.ReplaceAllStringFunc(s, func(p string) string {
		switch p {
		case "{target}":
			return v.Target
		case "{cores}":
			return strconv.Itoa(v.Cores)
		case "{out}":
			return v.Out
		case cacheWord:
			return v.Cache
		}
		unknown = p
		return p
	})
	if unknown != "" {
		return "", fmt.Errorf("unknown placeholder %s in %q; there are {target}, {cores}, {out} and {cache}", unknown, s)
	}
	return out, nil
}

func (v Values) expandAll(list []string) ([]string, error) {
	out := make([]string, len(list))
	for i, s := range list {
		var err error
		if out[i], err = v.expand(s); err != nil {
			return nil, err
		}
	}
	return out, nil
}
