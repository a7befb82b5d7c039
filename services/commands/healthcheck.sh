# Asks a service on this machine whether it works, as its container does every few seconds: healthcheck.sh [PORT]
#
# The port is the operators', by default a gateway's. In bash, because to start Python costs thirty times as much.

exec 3<>"/dev/tcp/127.0.0.1/${1:-${ADMIN_PORT:-3002}}" || exit 1
printf 'GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
read -r -t 3 _ status _ <&3 && [ "$status" = 200 ]
