# Sends mail with Python's smtplib and prints what came of it as one object of
# JSON: arguments are host, port, the mailboxes' domain and another domain.
import base64
import json
import smtplib
import sys
from email import policy
from email.message import EmailMessage

host, port, box, other = sys.argv[1:5]
result = {}


class Client(smtplib.SMTP):
    """Keeps the text of the last message as it was handed to DATA."""

    def data(self, msg):
        self.sent = msg if isinstance(msg, bytes) else msg.encode("ascii")
        return super().data(msg)


def message(to, text="text\n", subject="test", cte=None):
    m = EmailMessage(policy=policy.SMTP)
    m["Date"] = "Thu, 01 Jan 2026 00:00:00 +0000"
    m["From"] = "sender@" + box
    m["To"] = to
    m["Message-Id"] = "<1@client.test>"
    m["Subject"] = subject
    m.set_content(text, cte=cte)
    return m


def text(c):
    return base64.b64encode(c.sent).decode()


with Client(host, int(port), local_hostname="client.test") as c:
    c.ehlo_or_helo_if_needed()
    result["features"] = sorted(c.esmtp_features)

    c.send_message(message("eight@" + box, "Gr\u00fc\u00dfe\n.\n..\n\u4f60\u597d\n" + "x" * 990 + "\n", cte="8bit"),
                   mail_options=["BODY=8BITMIME"])
    result["eight"] = text(c)

    c.send_message(message("\u043f\u043e\u0447\u0442\u0430@" + box, subject="\u0442\u0435\u043c\u0430"))
    result["utf8"] = text(c)

    c.sendmail("sender@" + box, ["dsn@" + other], message("dsn@" + other).as_bytes(),
               mail_options=["RET=HDRS", "ENVID=id+2B1"],
               rcpt_options=["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;first+2Bone@client.test"])
    c.sendmail("sender@" + box, ["success@" + box], message("success@" + box).as_bytes(),
               mail_options=["RET=FULL", "ENVID=id2"], rcpt_options=["NOTIFY=SUCCESS"])

    many = ["user%d@%s" % (n, other) for n in range(100)]
    result["refused of many"] = c.sendmail("sender@" + box, many, message("many@" + other).as_bytes())

    result["partly"] = c.sendmail("sender@" + box, ["nobody@" + box, "part@" + box],
                                  message("part@" + box).as_bytes())
    result["part"] = text(c)
    try:
        c.sendmail("sender@" + box, ["nobody@" + box, "noone@" + box], message("x@" + box).as_bytes())
    except smtplib.SMTPRecipientsRefused as e:
        result["refused"] = {r: [code, reply.decode()] for r, (code, reply) in e.recipients.items()}
    try:
        c.sendmail("sender@" + box, ["part@" + box], b"Subject: too large\r\n\r\n" + (b"x" * 78 + b"\r\n") * 5000)
    except smtplib.SMTPSenderRefused as e:
        result["too large"] = [e.smtp_code, e.smtp_error.decode(), e.sender]
    try:
        c.sendmail("sender@" + box, ["part@" + box], b"X-Refuse: yes\r\n\r\ntext\r\n")
    except smtplib.SMTPDataError as e:
        result["data"] = [e.smtp_code, e.smtp_error.decode()]
    result["verify"] = c.verify("part@" + box)[0]
    result["noop"] = c.noop()[0]
for m in [lambda c: c.docmd("NOSUCH"), lambda c: c.docmd("MAIL", "FROM:<")]:
    with Client(host, int(port), local_hostname="client.test") as c:
        c.helo()
        result.setdefault("errors", []).append(m(c)[0])
print(json.dumps(result, default=bytes.decode))
