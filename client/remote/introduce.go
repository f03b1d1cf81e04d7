package remote

import (
	"context"
	"errors"
	"slices"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/peer"
)

var errQueueTimeout = errors.New("no agent has taken the job")

// introduction connects a job to an agent with the broker's help.
type introduction struct {
	job       *Job
	events    *emitter
	cert      *peer.Certificate
	confirmer *confirmer
	need      api.GrantRequest
	// offer is this end of the connection; any of the candidates can answer it.
	offer *peer.Offer
	// envelope is the offer for the candidates of the last grant.
	envelope *envelope.Offer
	waiting  Waiting // the last place in line
	answered bool    // the broker has answered
	trickle  *trickle
}

// connect requests an agent from the broker, verifies its identity, and connects to it.
func connect(ctx context.Context, job *Job, events *emitter, w *confirmer) (*peer.Conn, *Outcome, error) {
	cert, err := peer.NewCertificate()
	if err != nil {
		return nil, nil, cli.Fail(cli.Usage, err)
	}
	i := &introduction{job: job, events: events, cert: cert, confirmer: w, need: job.Need, trickle: newTrickle(ctx)}
	defer i.trickle.stop()
	i.need.PeerFingerprint = cert.Fingerprint()
	i.need.RequiredChannels = job.labels()
	if err := i.need.Validate(); err != nil {
		return nil, nil, cli.Failf(cli.Usage, "the request to the broker is invalid: %w", err)
	}
	jobID, answer, err := i.requestAgent(ctx)
	if err != nil {
		if i.offer != nil {
			err = errors.Join(err, i.offer.Close())
		}
		return nil, nil, err
	}
	description := peer.Description(answer.SDP)
	if description.Trickles() {
		i.trickle.receive(job, jobID, i.offer, i.envelope)
	}
	agent := newAgent(answer)
	connecting, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := i.offer.Connect(connecting, description)
	if err != nil {
		return nil, nil, connectError(ctx, agent, err)
	}
	if err := i.verifyAgent(agent, conn.RemoteFingerprint(), answer.DTLSFingerprint); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, &Outcome{JobID: jobID, Agent: agent}, nil
}

// requestAgent returns the answer of an agent that the user trusts.
func (i *introduction) requestAgent(ctx context.Context) (jobID string, answer *envelope.Answer, err error) {
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if i.job.QueueTimeout > 0 {
		waiting, cancel = context.WithTimeoutCause(ctx, i.job.QueueTimeout, errQueueTimeout)
	}
	defer cancel()
	introduced, err := i.job.Broker.Introduce(waiting, &i.need, i.prepare, func(w api.Waiting) {
		i.waiting, i.answered = newWaiting(&w), true
		i.trickle.renew(w.Grant)
		i.events.event(i.waiting)
	})
	switch {
	case err != nil && ctx.Err() == nil && errors.Is(context.Cause(waiting), errQueueTimeout):
		return "", nil, i.queueTimeoutError(err)
	case err != nil:
		return "", nil, i.withKind(BrokerError(ctx, i.job.Broker, i.job.As, err))
	}
	jobID = introduced.Grant.JobID
	if answer, err = i.envelope.OpenAnswer(jobID, introduced.Answer); err != nil {
		return "", nil, answerError(err)
	}
	i.confirmer.agentAnswered(newAgent(answer), introduced.Grant)
	// Again, because a candidate for an unsealed offer may have had no key before.
	if err := i.job.Trust.Vet(nameOf(answer.Candidate), answer.Agent); err != nil {
		i.confirmer.outcome = api.OutcomeCanceled // no fault of the agent
		return "", nil, err
	}
	return jobID, answer, nil
}

// prepare judges the candidates of a grant and makes the offer to them.
func (i *introduction) prepare(ctx context.Context, granted *api.GrantResponse) ([]byte, error) {
	i.answered = true
	i.events.event(Granted{JobID: granted.JobID, Candidates: granted.Candidates})
	i.explain(granted)
	if p := skewed(i.job.Broker.Skew()); p != nil {
		i.events.event(Notice{*p})
	}
	sealed, err := vet(i.job, granted.Candidates)
	if err != nil {
		return nil, err
	}
	if i.offer == nil {
		config := peer.Config{Certificate: i.cert, ICEServers: granted.ICEServers, Loopback: i.job.Broker.Loopback(), Trickle: true, PlainDTLS: i.job.PlainDTLS, Logger: i.job.Logger}
		config.HideLocal = !config.Loopback && !granted.SameNetwork && !i.job.KeepLocal
		if i.offer, err = peer.NewOffer(ctx, config, i.need.RequiredChannels); err != nil {
			return nil, err
		}
	}
	if !sealed {
		i.events.event(Notice{channel.Problem{
			Code:    NoticeUnsealed,
			Message: "the offer is not sealed: the broker can read the addresses of both ends (--allow-unsealed)",
		}})
		i.envelope, err = envelope.PlainOffer(string(i.offer.Description()), granted.Candidates)
	} else {
		i.envelope, err = envelope.SealOffer(string(i.offer.Description()), granted.Candidates)
	}
	if err != nil {
		if errors.Is(err, envelope.ErrUntrusted) {
			return nil, candidateError(err)
		}
		return nil, err
	}
	i.trickle.send(i.job, granted, i.offer, i.envelope)
	return i.envelope.Body, nil
}

// verifyAgent verifies that the other end of the connection is the agent that has signed the
// answer, and adds a new agent to known_agents.
func (i *introduction) verifyAgent(agent Agent, presented, promised string) error {
	if presented == "" || presented != promised {
		return certificateError(agent, presented, promised)
	}
	first, err := i.job.Trust.Meet(agent.Name, agent.Key)
	if err != nil {
		i.confirmer.outcome = api.OutcomeCanceled
		return err
	}
	if first {
		i.events.event(Notice{channel.Problem{
			Code: NoticeNewAgent,
			Message: "met " + i.job.Trust.Principal(agent.Name) + " for the first time; its key " + agent.Fingerprint +
				" is now trusted (" + i.job.Trust.Known.Path() + ")",
		}})
	}
	return nil
}

// vet judges all candidates, and reports whether the offer can be sealed to them. Each
// of them could read the offer, so an error about one is an error about the grant.
func vet(job *Job, candidates []api.Candidate) (sealed bool, err error) {
	if len(candidates) == 0 {
		return false, cli.Failf(cli.Broker, "the broker names no agent that could take the job")
	}
	sealed = true
	for _, c := range candidates {
		if !wanted(&job.Need, c) {
			return false, unwantedError(c)
		}
		if c.Sealing == nil {
			if !job.AllowUnsealed {
				return false, unsealedError(nameOf(c))
			}
			sealed = false
		}
		if c.PublicKey == "" {
			continue // its answer has the key
		}
		key, err := publicKey(c)
		if err != nil {
			return false, candidateError(err)
		}
		if err := job.Trust.Vet(nameOf(c), key); err != nil {
			return false, err
		}
	}
	return sealed, nil
}

// wanted reports whether the request allows the candidate. An honest broker offers no
// other.
func wanted(need *api.GrantRequest, c api.Candidate) bool {
	named := func(list []string) bool {
		return slices.Contains(list, c.Name) || slices.Contains(list, c.Fingerprint)
	}
	return (len(need.Agents) == 0 || named(need.Agents)) && !named(need.ExcludeAgents)
}
