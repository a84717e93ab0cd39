set -e
ip link set lo up
unshare -n sleep 1000 & A=$!
unshare -n sleep 1000 & B=$!
sleep 0.2
in_a() { nsenter -t $A -n "$@"; }
in_b() { nsenter -t $B -n "$@"; }
# Of devices made from here on addresses serve at once.
sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
for name in a b; do
	ip link add r$name type veth
	ip link add s$name type veth
done
for ns in $A $B; do nsenter -t $ns -n sysctl -q net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0; done
ip link set veth0 netns $A; ip link set veth1 netns $A
ip link set veth2 netns $B; ip link set veth3 netns $B
ip addr add 10.1.0.1/24 dev ra; ip -6 addr add fd01::1/64 dev ra; ip link set ra up
ip addr add 10.2.0.1/24 dev rb; ip -6 addr add fd02::1/64 dev rb; ip link set rb up
in_a sh -c "ip link set lo up; ip addr add 10.1.0.2/24 dev veth0; ip -6 addr add fd01::2/64 dev veth0; ip link set veth0 up; ip route add default via 10.1.0.1; ip -6 route add default via fd01::1"
in_b sh -c "ip link set lo up; ip addr add 10.2.0.2/24 dev veth2; ip -6 addr add fd02::2/64 dev veth2; ip link set veth2 up; ip route add default via 10.2.0.1; ip -6 route add default via fd02::1"
brctl addbr br0; brctl addif br0 sa; brctl addif br0 sb
ip addr add 10.3.0.1/24 dev br0
ip link set br0 up; ip link set sa up; ip link set sb up
in_a sh -c "ip addr add 10.3.0.2/24 dev veth1; ip link set veth1 up"
in_b sh -c "ip addr add 10.3.0.3/24 dev veth3; ip link set veth3 up"
sleep 1.5
echo $A > /tmp/a; echo $B > /tmp/b
in_b net serve 10.2.0.2 4242 > /dev/null &
in_b net serve fd02::2 4242 > /dev/null &
in_b net serve 10.2.0.2 53/udp > /dev/null &
in_b net serve fd02::2 53/udp > /dev/null &
net serve 10.1.0.1 4242 >/dev/null &
net serve fd01::1 4242 >/dev/null &
net serve 127.0.0.1 4242 > /dev/null &
net serve ::1 4242 > /dev/null &
net serve 127.0.0.1 53/udp > /dev/null &
