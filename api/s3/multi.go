package s3

func (c *call) deleteObjects() error       { return unbuilt(c.route.op) }
func (c *call) copyObject() error          { return unbuilt(c.route.op) }
func (c *call) uploadPartCopy() error      { return unbuilt(c.route.op) }
func (c *call) uploadPart() error          { return unbuilt(c.route.op) }
func (c *call) createUpload() error        { return unbuilt(c.route.op) }
func (c *call) completeUpload() error      { return unbuilt(c.route.op) }
func (c *call) abortUpload() error         { return unbuilt(c.route.op) }
func (c *call) listParts() error           { return unbuilt(c.route.op) }
func (c *call) listUploads() error         { return unbuilt(c.route.op) }
func (c *call) getObjectAttributes() error { return unbuilt(c.route.op) }
