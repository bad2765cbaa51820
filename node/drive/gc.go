package drive

type collector struct{}

func (c *collector) start(*Drive) {}
func (c *collector) stop()        {}
func (c *collector) wake()        {}
