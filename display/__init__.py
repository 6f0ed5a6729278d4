"""The display: what people see. Fed by the event stream and the store; never imports producer, worker or TensorFlow."""
