// The emulator listens on every interface; a test server may listen on loopback only.
const net = require("node:net");

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port) {
  return listen.call(this, port, "127.0.0.1");
};
