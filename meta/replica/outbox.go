package replica

import (
	"holdfast/internal/id"
)

// outbox collects the messages of a turn by drive.
type outbox struct{ lanes []lane }

type lane struct {
	to   id.Drive
	msgs []Message
}

func (o *outbox) add(m Message) {
	for i := range o.lanes {
		if o.lanes[i].to == m.To {
			o.lanes[i].msgs = append(o.lanes[i].msgs, m)
			return
		}
	}
	o.lanes = append(o.lanes, lane{m.To, []Message{m}})
}

// maxLanes bounds what an outbox remembers of drives that once got something.
const maxLanes = 64

func (o *outbox) flush(t Transport) {
	for i := range o.lanes {
		if msgs := o.lanes[i].msgs; len(msgs) > 0 {
			t.Send(msgs)
			clear(msgs)
			o.lanes[i].msgs = msgs[:0]
		}
	}
	if len(o.lanes) > maxLanes {
		o.lanes = nil
	}
}
