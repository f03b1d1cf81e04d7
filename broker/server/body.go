package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/farforge/farforge/common/api"
)

// readBody reads a body of at most limit bytes and one of the media types. A
// request without Content-Type is assumed to have one of them.
func readBody(w *response, r *http.Request, limit int, types ...string) ([]byte, error) {
	if ct := r.Header.Get("Content-Type"); ct != "" {
		got, _, err := mime.ParseMediaType(ct)
		if err != nil || !slices.Contains(types, got) {
			return nil, problem(http.StatusUnsupportedMediaType, api.CodeMediaType, fmt.Sprintf("the body's Content-Type must be %s", types[0]))
		}
	}
	if r.ContentLength > int64(limit) {
		// The body is not read: the connection is closed behind the response.
		w.Header().Set("Connection", "close")
		return nil, tooLarge(limit)
	}
	body := make([]byte, 0, max(r.ContentLength, 512)+1)
	in := http.MaxBytesReader(w.ResponseWriter, r.Body, int64(limit))
	for {
		n, err := in.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err == io.EOF {
			return body, nil
		}
		var long *http.MaxBytesError
		switch {
		case errors.As(err, &long):
			return nil, tooLarge(limit)
		case errors.Is(err, os.ErrDeadlineExceeded):
			w.Header().Set("Connection", "close")
			return nil, problem(http.StatusRequestTimeout, api.CodeMalformed, "the body did not arrive in time")
		case err != nil:
			w.Header().Set("Connection", "close")
			return nil, problem(http.StatusBadRequest, api.CodeMalformed, "the body broke off")
		case len(body) == cap(body):
			body = append(body, 0)[:len(body)]
		}
	}
}

func tooLarge(limit int) error {
	return problem(http.StatusRequestEntityTooLarge, api.CodeTooLarge, fmt.Sprintf("the body is longer than %d bytes", limit))
}

// readOpaque reads an offer or an answer.
func readOpaque(w *response, r *http.Request, what string) ([]byte, error) {
	body, err := readBody(w, r, api.MaxOffer, api.TypeOpaque)
	if err == nil && len(body) == 0 {
		err = problem(http.StatusBadRequest, api.CodeMalformed, "the "+what+" is empty")
	}
	return body, err
}

// validator is a request body that checks itself.
type validator interface{ Validate() error }

// readJSON reads a body into v and validates it. Unknown fields are ignored, so
// that newer clients can talk to older brokers.
func readJSON(w *response, r *http.Request, v any) error {
	body, err := readBody(w, r, api.MaxBody, api.TypeJSON)
	if err != nil {
		return err
	}
	return decodeJSON(body, v)
}

func decodeJSON(body []byte, v any) error {
	err := json.Unmarshal(body, v)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return malformed(fmt.Sprintf("not JSON at byte %d: %v", syntax.Offset, syntax))
	case errors.As(err, &kind) && kind.Field != "":
		return malformed(fmt.Sprintf("%s at byte %d: a JSON %s does not fit", kind.Field, kind.Offset, kind.Value))
	case errors.As(err, &kind):
		return malformed(fmt.Sprintf("want a JSON object, not a JSON %s", kind.Value))
	case err != nil:
		return malformed(err.Error())
	}
	if c, ok := v.(validator); ok {
		if err := c.Validate(); err != nil {
			return malformed(err.Error())
		}
	}
	return nil
}

// wait returns how long the request may be held: the time that it names, but at
// most the given one.
func wait(r *http.Request, most time.Duration) (time.Duration, error) {
	if r.URL.RawQuery == "" {
		return most, nil
	}
	text := r.URL.Query().Get(api.WaitParam)
	if text == "" {
		return most, nil
	}
	secs, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, malformed(fmt.Sprintf("%s: %q is not a number of seconds", api.WaitParam, text))
	}
	return min(time.Duration(secs)*time.Second, most), nil
}

// hold extends the connection's read deadline to the time that the request may be
// held. The server's own deadline, which is for slow senders, would end a blocked
// request as if its client had gone.
func hold(w *response, d time.Duration) {
	// Recorders in tests and some wrappers cannot; then there is no deadline.
	_ = http.NewResponseController(w.ResponseWriter).SetReadDeadline(time.Now().Add(d + 10*time.Second))
}
