package wholefile

import (
	"bytes"
	"errors"
)

// ErrUTF16 is the error for a text that is in UTF-16, as some editors and shells on
// Windows write it.
var ErrUTF16 = errors.New("it is in UTF-16; save it as UTF-8")

// Text returns the text of a file without a byte order mark. It returns ErrUTF16 for
// a text in UTF-16.
func Text(data []byte) ([]byte, error) {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, ErrUTF16
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), nil
}
