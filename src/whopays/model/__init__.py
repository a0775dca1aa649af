"""The model: an encoder on ONNX Runtime, linear heads with calibration, and the decoding of evidence."""
