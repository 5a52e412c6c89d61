// What the guide offers, in order: one declaration a step.
//
// id     names the step: its button is [data-try=ID]
// title  what one tries
// as,at  who does it (a user's id), and in which channel
// type   the command that is left in the message field there
// fault  a fault that is switched on before: {target, fault, times, only?}, see PROTOCOL.md
// look   what to look for, in a sentence or two
// program  a program asks here, with the person's token
// then   what follows as somebody else, somewhere else, some days later or by a program:
//        [{label, as, at, type?, days?, program?}]
const MARA = "U0MARA", SAMI = "U0SAMI", ONCA = "U0ONCA", OPS = "C0OPS", APPROVALS = "C0APPROVALS";

export const STEPS = [
  { id: "edit", title: "Edit one ticket", as: MARA, at: OPS,
    type: '/qualys 23456 change_state=RESOLVED add_comment="Host patched, ready for re-scan"',
    look: "Press Enter. One record runs at once: the card says Done, and its thread says what Qualys did. Details and Undo are under it." },
  { id: "form", title: "The form", as: MARA, at: OPS, type: "/qualys",
    look: "The command alone opens its form. Put 23460 into the ticket numbers and choose a change: the review says what goes out before anything does." },
  { id: "selection", title: "A selection and its review", as: MARA, at: OPS,
    type: '/qualys states=OPEN asset_groups="New York" vuln_severities=5 add_comment="Patch window on Sunday"',
    look: "The review names every ticket that the filter found and what is left out, with the plan's digest. Nothing is sent before you confirm." },
  { id: "approval", title: "An approval by somebody else", as: MARA, at: OPS,
    type: '/qualys 23470 change_state=IGNORED add_comment="Accepted until the host is replaced"',
    look: "Ignoring needs somebody's approval. Confirm the review; the card waits. Then approve it as Onca: the approval names the digest that you saw.",
    then: [{ label: "Go on as Onca, in #approvals", as: ONCA, at: APPROVALS }, { label: "Back to Mara, in #vuln-ops", as: MARA, at: OPS }] },
  { id: "denial", title: "A denial", as: SAMI, at: OPS, type: "/qualys 23461 change_state=RESOLVED",
    look: "Sami is a Scanner. Only Sami reads the answer: which rule says no, which role is missing, and who has it. Qualys is not told anything." },
  { id: "exception", title: "An exception, from request to decision", as: MARA, at: OPS,
    type: '/exception control_id=1113 host_id=28595192824 policy_id=801459496 technology_id=45 assignee_id=2449482824 reopen_on_evidence_change=1 comments="new exception"',
    look: "The number that Qualys gave stands in the thread. Nobody decides on their own request: Onca approves it in #approvals, with the day it ends and why.",
    then: [{ label: "Decide as Onca, in #approvals", as: ONCA, at: APPROVALS }, { label: "Back to Mara, in #vuln-ops", as: MARA, at: OPS }] },
  { id: "ccs", title: "Symantec CCS", as: MARA, at: OPS, type: "/ccs INCA0000007 TicketState=Verified",
    look: "CCS answers with nothing, so Amend reads the ticket back before it calls it changed. What CCS' verification decides later is told in the thread." },
  { id: "xpanse", title: "Cortex Xpanse", as: MARA, at: OPS, type: '/xpanse 71 status=under_investigation comment="Owner found"',
    look: "The same words, the same card, another vendor: an incident gets a status and a comment." },
  { id: "zstack", title: "ZStack Cloud", as: MARA, at: OPS, type: "/zstack f4483251fdfd48cdae0dbb966a2652c9 statusEvent=approve",
    look: "Approving leads to something, so the review says what. Afterwards the thread tells where the ticket stands and who is asked next." },
  { id: "bulk", title: "A bulk run, its progress and its undo", as: MARA, at: OPS, type: "/xpanse 100-260 status=under_investigation",
    look: "Confirm the review: the card counts while it runs and can be cancelled. When it is done, press Undo under it: the same review, the way back." },
  { id: "fault", title: "A vendor that breaks off", as: MARA, at: OPS, type: '/qualys 23462 add_comment="Checked by hand"',
    fault: { target: "qualys", fault: "reset_after_edit", times: 1, only: "ticket_edit" },
    look: "Qualys will do the edit and then break the connection. A comment must not be sent twice: Amend reads back, and says what it found." },
  { id: "watch", title: "A watch", as: MARA, at: OPS, type: "/amend watch qualys states=OPEN vuln_severities=5",
    look: "The channel is told of what changes at Qualys, whoever changes it. Let Onca resolve a ticket elsewhere, then come back and wait some seconds.",
    then: [{ label: "Change one as Onca, in her own messages", as: ONCA, at: "D0ONCA", type: "/qualys 23014 change_state=RESOLVED" }, { label: "Back to Mara, in #vuln-ops", as: MARA, at: OPS }] },
  { id: "register", title: "Exceptions that end soon", as: MARA, at: OPS, type: "/amend exceptions",
    look: "Risk that was accepted, soonest end first; sort it by any column. Then have the channel told before each end, and renew one from its reminder. A week later the next ones are told.",
    then: [{ label: "Have the channel told", as: MARA, at: OPS, type: "/amend watch exception ends_within=30" },
      { label: "Go on to a week later", as: MARA, at: OPS, days: 7 }] },
  { id: "program", title: "A program that asks", as: MARA, at: OPS, type: "/amend token", program: true,
    look: "Name it, say for how many days, and close the form: its token is shown once. Then let an assistant have it: it plans and proposes, and only Mara can press Run on its card.",
    then: [{ label: "Let the assistant ask", as: MARA, at: OPS, program: true }] },
  { id: "report", title: "A look back", as: MARA, at: OPS, type: "/amend report days=7",
    look: "What was changed here and elsewhere, what stands open and how long approvals took. Add every=mon@09:00 and it comes each week." },
];
