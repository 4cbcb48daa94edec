"use strict";

const form = document.getElementById("form");
const password = document.getElementById("password");
const again = document.getElementById("again");
const problem = document.getElementById("problem");
const done = document.getElementById("done");
const send = document.getElementById("send");

// Out of the address bar and the history at once: whoever looks over a shoulder must not see it.
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

function tell(words, field) {
  problem.textContent = words;
  problem.hidden = false;
  if (field) field.focus();
}

function show(checked) {
  for (const field of [password, again]) field.type = checked ? "text" : "password";
}

async function redeem() {
  const response = await fetch("/api/v1/auth/redeem", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token, password: password.value }),
  });
  if (response.ok) {
    form.hidden = true;
    done.hidden = false;
    done.focus();
    return;
  }
  const answer = await response.json();
  const faults = (answer.errors || []).map((fault) => fault.message);
  tell(faults.length ? faults.join(" ") : answer.detail, password);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.hidden = true;
  if ([...password.value].length < 15) return tell("The password must have at least 15 characters.", password);
  if (password.value !== again.value) return tell("The two passwords differ.", again);
  send.disabled = true;
  try {
    await redeem();
  } catch {
    tell("The server can't be reached; try again in a moment.", send);
  } finally {
    send.disabled = false;
  }
});

document.getElementById("show").addEventListener("change", (event) => show(event.target.checked));

if (token) {
  form.hidden = false;
  password.focus();
} else {
  tell("This address is not complete: open the whole link that you were given.");
}
